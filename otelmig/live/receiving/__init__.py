"""What live commands take over the network, and what they say of themselves to whoever asks there."""
