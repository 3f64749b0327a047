"""Agents, websites and administrators: registering, changing and finding them."""
