"""What a live service says of itself, and of migrations beside their traces: log records and metrics, over OTLP."""
