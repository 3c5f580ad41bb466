"""Traces -> OpenTelemetry, and their delivery: the only package that imports its SDK and protocol, HTTP and gRPC."""
