"""Bytes of Cloud Hypervisor's logs -> observations of the processes that wrote them."""
