"""What comes from a browser and what goes back, as values."""
