"""The commands of an agent: signing in, asking its owner, signing requests, serving tools."""
