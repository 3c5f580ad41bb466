"""Groups of options that commands share, and what they are turned into."""
