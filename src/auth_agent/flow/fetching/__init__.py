"""Fetches of URLs that strangers choose: website and server share the one guarded way."""
