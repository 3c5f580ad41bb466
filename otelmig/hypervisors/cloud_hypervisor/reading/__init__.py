"""Bytes of Cloud Hypervisor's logs, event streams and statistics -> observations of the processes that wrote them."""
