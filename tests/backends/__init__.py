"""Tests against the real OpenTelemetry Collector, Jaeger, Tempo and Prometheus's engine."""
