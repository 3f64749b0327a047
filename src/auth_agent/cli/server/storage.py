"""The database and the settings of administrative commands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
def opened(url: str, *, may_create: bool = False, upgrade: bool = False) -> Iterator[Database]:
    """Opens the database, names it on stderr, and closes it at the end.

    Prints a message and exits with code 1 if it cannot be used. Creates an SQLite file only if
    `may_create`, and changes a schema of another version only if `upgrade`.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  (keeps --help quick)

    from auth_agent.cli.output import fail, refusals_are_told  # noqa: PLC0415
    from auth_agent.server.storage.audit import acting  # noqa: PLC0415
    from auth_agent.server.storage.database import Database  # noqa: PLC0415
    from auth_agent.server.storage.schema import need_head  # noqa: PLC0415

    with refusals_are_told():
        name = _described(url)
        _check_exists(url, may_create=may_create)
        typer.echo(f"Database: {name}", err=True)
        try:
            database = Database.open(url, upgrade=upgrade)
        except ModuleNotFoundError:  # an extra is missing, which `main` says
            raise
        except (SQLAlchemyError, ImportError) as error:
            raise fail(f"The database cannot be opened: {cause(error)}") from None
        try:
            if not upgrade:
                need_head(database.revision())
            with acting("command line"):
                yield database
        except SQLAlchemyError as error:
            raise fail(f"The database refused: {cause(error)}") from None
        finally:
            database.close()


def server_settings(
    database: str | None = None, issuer: str | None = None, *, upstream_compat: bool = False
) -> ServerSettings:
    """Returns the environment's settings; arguments win over variables."""
    from auth_agent.server.settings import PREFIX, ServerSettings  # noqa: PLC0415

    given = {"DATABASE": database, "ISSUER": issuer, "UPSTREAM_COMPAT": "1" * upstream_compat}
    environ = {**os.environ, **{PREFIX + name: value for name, value in given.items() if value}}
    return ServerSettings.from_env(environ)


def cause(error: Exception) -> str:
    """Returns the driver's error message, without SQL."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def sqlite_path(url: str) -> Path | None:
    """Returns the file of an SQLite URL; None for other databases and one in memory."""
    from sqlalchemy import make_url  # noqa: PLC0415

    from auth_agent.server.config.checks import database_problem  # noqa: PLC0415

    if problem := database_problem(url):
        raise ValueError(f"the database's URL {problem}")
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database)).absolute()


def _described(url: str) -> str:
    """Returns the URL without its password, or the full path of an SQLite file."""
    from auth_agent.server.storage.database import shown_url  # noqa: PLC0415

    return str(sqlite_path(url) or shown_url(url))


def check_folder(url: str) -> None:
    """Raises ValueError if the file of this database could not be made."""
    _check_exists(url, may_create=True)


def _check_exists(url: str, *, may_create: bool) -> None:
    """Raises ValueError for a missing SQLite file, instead of creating one that no server uses."""
    path = sqlite_path(url)
    if path is None or path.exists():
        return
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}; make it, or name another database")
    if not may_create:
        raise ValueError(
            f"there is no Auth Agent database at {path}; name one with --database or "
            "AUTH_AGENT_SERVER_DATABASE, or make it with: auth-agent migrate"
        )
