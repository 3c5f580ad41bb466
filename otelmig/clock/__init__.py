"""Two clocks, one migration: what causality proves about their offset, and where absolute time comes from."""
