"""Flows decide and do no I/O; here is what they ask for, and what performs it."""
