"""The servers that a whole sign-in is measured on; one module for each, `servers/` is what runs."""
