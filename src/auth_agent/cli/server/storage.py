"""The database and the settings that administrative commands work on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from auth_agent.server import Database, ServerSettings

DEFAULT_DATABASE = "sqlite:///auth-agent.db"

DatabaseOption = Annotated[
    str,
    typer.Option("--database", envvar="AUTH_AGENT_SERVER_DATABASE", help="Database URL."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """The database, closed at the end; a message and exit code 1 if it cannot be used."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  (keeps --help quick)

    from auth_agent.cli.output import fail, refusals_are_told  # noqa: PLC0415
    from auth_agent.server.storage.audit import acting  # noqa: PLC0415
    from auth_agent.server.storage.database import Database  # noqa: PLC0415

    with refusals_are_told():
        try:
            database = Database.open(url)
        except (SQLAlchemyError, ImportError) as error:
            raise fail(f"The database cannot be opened: {cause(error)}") from None
        try:
            with acting("command line"):
                yield database
        except SQLAlchemyError as error:
            raise fail(f"The database refused: {cause(error)}") from None
        finally:
            database.close()


def server_settings(
    database: str | None = None, issuer: str | None = None, *, upstream_compat: bool = False
) -> ServerSettings:
    """The environment's settings; what is given here wins."""
    from auth_agent.server.settings import PREFIX, ServerSettings  # noqa: PLC0415

    given = {"DATABASE": database, "ISSUER": issuer, "UPSTREAM_COMPAT": "1" * upstream_compat}
    environ = {**os.environ, **{PREFIX + name: value for name, value in given.items() if value}}
    return ServerSettings.from_env(environ)


def cause(error: Exception) -> str:
    """The driver's own sentence, without SQL."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
