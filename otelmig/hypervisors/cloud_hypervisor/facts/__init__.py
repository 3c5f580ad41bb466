"""An attempt's lines -> the facts that leave this package: what they amount to, and how exactly each is known."""
