"""Servers that run in their own process, without auth-agent."""
