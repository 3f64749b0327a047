"""Tokens and their families, which share one lifetime."""
