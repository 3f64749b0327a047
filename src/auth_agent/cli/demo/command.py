"""`auth-agent demo`: a server, a website, an agent, its owner and an MCP server."""

from __future__ import annotations

from typing import Annotated

import typer

DEMO_EXIT_CODES = "Exit codes: 0 all of it worked, 1 something did not, 2 wrong usage."


def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Exit after the sign-in instead of staying up.")
    ] = False,
) -> None:
    """Show a server, a website, an agent, its owner and an MCP server, over real HTTP here."""
    from rich.console import Console  # noqa: PLC0415

    from auth_agent.cli.demo.run import DemoFailed, run  # noqa: PLC0415
    from auth_agent.cli.output import fail  # noqa: PLC0415

    try:
        code = run(Console(), once=once)
    except DemoFailed as error:
        raise fail(str(error)) from None
    raise typer.Exit(code)
