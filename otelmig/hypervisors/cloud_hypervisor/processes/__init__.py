"""Logs, and what was read beside them -> the processes that they tell of."""
