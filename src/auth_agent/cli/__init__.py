"""The command line; each command imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs `auth-agent`; a missing extra, or a failing device, is named in one line."""
    from auth_agent.cli.streams import accept_any_text, open_closed  # noqa: PLC0415
    from auth_agent.extras import missing_extra  # noqa: PLC0415

    open_closed()
    accept_any_text()
    try:
        from auth_agent.cli.program import app  # noqa: PLC0415

        app(prog_name="auth-agent")
    except ModuleNotFoundError as error:
        # Here Starlette is the server's; a website's code does not run in a command.
        hint = missing_extra(error, "server" if error.name == "starlette" else "")
        if hint is None:
            raise
        if error.name in ("rich", "typer") and sys.argv[1:2] == ["doctor"]:
            from auth_agent.doctor.plain import main as doctor  # noqa: PLC0415

            sys.exit(doctor(sys.argv[2:]))
        sys.stderr.write(f"{hint}\n")
        sys.exit(2)
    except OSError as error:  # a full disk, a device that is gone
        named = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"auth-agent: {named}{error.strerror or type(error).__name__}\n")
        sys.exit(1)
