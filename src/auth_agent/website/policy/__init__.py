"""Who may come in, and what the others are told."""
