"""Outgoing traffic of the server: fetches and mail."""
