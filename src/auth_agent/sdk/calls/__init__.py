"""What each method of the SDK does, told once for both colours."""
