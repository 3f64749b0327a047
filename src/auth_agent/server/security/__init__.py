"""Secrets, keys, and limits for whoever guesses."""
