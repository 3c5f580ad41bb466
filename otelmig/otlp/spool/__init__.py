"""The spool: traces that wait on the disk for a receiver, and receipts of what receivers acknowledged."""
