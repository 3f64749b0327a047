"""Flows, which decide and do no I/O; their effects, and the drivers that perform these."""
