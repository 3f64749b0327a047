"""Secrets, keys, and rate limits against guessing."""
