"""Keys: those that sign tokens, and the public ones of clients and agents."""
