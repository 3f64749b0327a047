"""Who the agent is, and how it proves that."""
