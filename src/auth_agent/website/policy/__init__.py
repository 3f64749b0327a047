"""The admission of agents, and the replies to all others."""
