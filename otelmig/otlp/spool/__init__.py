"""Traces that wait on the disk, and what the receivers acknowledged."""
