"""Traces as OTLP: in JSON, in protobuf, and as spans of the OpenTelemetry SDK."""
