"""A server, a website and an agent that signs in, over real HTTP, step by step."""
