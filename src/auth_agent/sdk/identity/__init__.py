"""The agent's identity, its options and its proof."""
