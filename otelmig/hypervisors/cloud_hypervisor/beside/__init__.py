"""What is read beside logs: event streams, migration statistics, crash reports."""
