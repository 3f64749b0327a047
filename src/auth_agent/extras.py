"""The name of the distribution, and its optional parts.

The name stands here and nowhere else in the code: `auth-agent` on PyPI is another program.
"""

from __future__ import annotations

DISTRIBUTION = "auth-agent-kit"


def install_hint(*extras: str) -> str:
    """The command that installs these extras, for messages."""
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"
