"""OTLP logs in: requests of senders -> records of files, over HTTP and gRPC."""
