"""`python -m auth_agent`: the command line, where its script is not on the PATH."""

from __future__ import annotations

from auth_agent.cli import main

main()
