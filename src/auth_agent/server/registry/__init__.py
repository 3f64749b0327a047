"""Agents, websites and administrators: added, changed, found."""
