"""Tokens and the families that they live and die with."""
