"""Traces to OpenTelemetry: their encoding and their delivery. No other package imports OpenTelemetry, gRPC or HTTP."""
