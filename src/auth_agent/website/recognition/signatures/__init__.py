"""Recognition of agents that sign their requests (Web Bot Auth)."""
