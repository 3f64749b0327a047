"""What one website is told, and what it decides with."""
