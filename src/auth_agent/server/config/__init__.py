"""What a server is told: the fields of its settings, and what may be wrong with them."""
