"""The logs of a live service: read as they grow, kept as long as they are needed, and called by names of their own."""
