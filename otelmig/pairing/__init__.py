"""Sides -> migrations: which source belongs to which destination, and why."""
