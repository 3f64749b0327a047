"""What the SDK's flows ask for, and what performs it."""
