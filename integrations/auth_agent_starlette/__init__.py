"""Sign in with Auth Agent for Starlette and FastAPI."""
