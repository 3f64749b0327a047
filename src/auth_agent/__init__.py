"""Let AI agents sign in to a website with an identity of their own."""
