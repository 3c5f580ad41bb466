"""The two encodings of a request with OTLP logs -> its records, within bounds."""
