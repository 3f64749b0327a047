"""The database, and what is written down in it."""
