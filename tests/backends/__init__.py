"""Tests against the real OpenTelemetry Collector and the real Jaeger."""
