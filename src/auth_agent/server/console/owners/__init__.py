"""The web pages of agents' owners."""
