"""What live commands take over the network: requests, the service for a fleet, and what is said to whoever asks."""
