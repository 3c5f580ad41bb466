"""What sides are found by: where they were, and when."""
