"""What the server sends on its own: fetches and mail."""
