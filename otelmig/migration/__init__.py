"""What one side of a migration says, whoever says it: observations on one clock, and what they amount to."""
