"""Requests in, answers out, as plain values."""
