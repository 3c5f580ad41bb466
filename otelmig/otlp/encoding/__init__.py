"""Traces as OTLP: JSON lines, protobuf, spans of the SDK."""
