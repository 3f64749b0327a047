"""What runs in a process of its own, with nothing of auth-agent in it."""
