"""Bounds of signed requests, the same for signers and verifiers."""

from __future__ import annotations

TAG = "web-bot-auth"

MAX_FIELDS = 16_384
"""Characters of the three fields together."""

MAX_SIGNATURES = 4
MAX_COMPONENTS = 32

MAX_TEXT = 256
"""Characters of a `keyid` or a `nonce`."""

LONGEST = 86_400
"""Seconds from `created` to `expires` at most."""

CHANGE_SECONDS = 60
"""Age in seconds at which a signature is too old for a request that changes something."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing; every other one needs a signature that covers more."""
