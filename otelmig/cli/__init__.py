"""Commands: the only place that prints, exits, or reads the arguments and the environment."""
