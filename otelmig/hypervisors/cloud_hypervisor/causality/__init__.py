"""What must happen before what between the two sides of a migration of Cloud Hypervisor."""
