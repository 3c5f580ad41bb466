"""Traces to OpenTelemetry: their encoding and their delivery; logs from it. No other package imports OpenTelemetry."""
