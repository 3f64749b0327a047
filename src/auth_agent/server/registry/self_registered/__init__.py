"""Clients that register themselves: by their metadata, or by a document about them."""
