"""The owner is asked."""
