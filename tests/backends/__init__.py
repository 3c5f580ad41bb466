"""Tests against the real OpenTelemetry Collector, Jaeger, Tempo, Kafka and Prometheus's engine."""
