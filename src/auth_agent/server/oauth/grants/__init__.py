"""The grants: what a client redeems for tokens."""
