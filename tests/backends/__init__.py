"""Tests against the real OpenTelemetry Collector, Jaeger and Prometheus's engine."""
