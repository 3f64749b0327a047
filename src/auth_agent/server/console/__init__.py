"""The web pages of administrators and owners."""
