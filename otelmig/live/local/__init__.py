"""Live, on one machine: its own files are followed, so that the log itself is what survives a restart."""
