"""Live, for a fleet: requests with log lines come in, and what was taken is on the disk before it is said so."""
