"""What a log of Cloud Hypervisor can and cannot tell, line by line."""
