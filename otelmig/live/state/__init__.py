"""What a live service keeps on the disk."""
