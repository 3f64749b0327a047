"""An authorization request: checked, pushed, opened."""
