"""Traces -> OpenTelemetry: the only package that imports its SDK and exporters."""
