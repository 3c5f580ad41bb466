"""Traces -> OpenTelemetry: the only package that imports its protocol, HTTP and gRPC; how they are delivered."""
