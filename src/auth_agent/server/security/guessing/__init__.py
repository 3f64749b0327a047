"""Limits on guessing: by people, and by programs."""
