"""What owners of agents see."""
