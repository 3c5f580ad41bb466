"""An OTLP receiver: its settings, the protocols that reach it, and what its answers mean."""
