"""Commands that trace while migrations happen."""
