"""The tools that a model uses to sign in to websites and to go on there."""
