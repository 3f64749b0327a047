"""Authlib's authorization server, on our database."""
