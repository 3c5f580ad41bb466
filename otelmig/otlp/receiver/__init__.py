"""A receiver of OTLP: where it is, how it is spoken to, what its answers mean."""
