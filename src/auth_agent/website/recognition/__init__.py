"""Recognition of agents by their sessions and bearer tokens."""
