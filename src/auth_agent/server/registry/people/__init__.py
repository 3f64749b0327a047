"""People: administrators and owners, their browsers, passkeys and tokens."""
