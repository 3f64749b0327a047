"""Clients at the endpoints: their authentication, their keys, and their proofs of a key."""
