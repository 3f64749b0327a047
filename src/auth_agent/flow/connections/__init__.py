"""Connections: bounded in time, kept alive, and through the proxy of the environment."""
