"""`auth-agent keys` and `auth-agent migrate`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from auth_agent.cli.output import EXIT_CODES, print_json, print_table
from auth_agent.cli.server.storage import (
    DEFAULT_DATABASE,
    DatabaseOption,
    JsonOption,
    opened,
    server_settings,
)

if TYPE_CHECKING:
    from auth_agent.server import Database
    from auth_agent.server.security.keys.keyring import Keyring

app = typer.Typer(no_args_is_help=True, help="The keys that sign tokens.", epilog=EXIT_CODES)


@app.command("list", epilog=EXIT_CODES)
def list_(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """List the published keys, newest first."""
    from auth_agent.server.security.keys.keyring import list_keys  # noqa: PLC0415

    with opened(database) as db:
        found = list_keys(db, int(time.time()))
    if as_json:
        print_json(found)
        return
    print_table(
        ("kid", "algorithm", "signs from", "published until"),
        [
            (
                key["kid"],
                key["algorithm"],
                _moment(key["signs_from"]),
                _moment(key["published_until"]) if key["published_until"] else "it is replaced",
            )
            for key in found
        ],
    )


@app.command("rotate", epilog=EXIT_CODES)
def rotate(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """Make a new key; running servers sign with it ten seconds later.

    The old key stays published until the last token signed with it has expired. Needs the
    server's settings (AUTH_AGENT_SERVER_SECRET), or the secret file beside the SQLite database.
    """
    from auth_agent.server.security.keys.keyring import rotate_key  # noqa: PLC0415

    with _keyring(database) as (db, keyring):
        kid = rotate_key(db, keyring, int(time.time()))
    if as_json:
        print_json({"kid": kid})
    else:
        typer.echo(f"{kid} is published and signs tokens in ten seconds.")


def migrate(database: DatabaseOption = DEFAULT_DATABASE) -> None:
    """Bring the database schema up to date; safe to run twice."""
    with opened(database, may_create=True, upgrade=True) as db:
        changed = db.migrate()
    typer.echo("The schema is up to date." if not changed else "The schema was brought up to date.")


@contextmanager
def _keyring(database: str) -> Iterator[tuple[Database, Keyring]]:
    from auth_agent.server.bounds import DAY  # noqa: PLC0415
    from auth_agent.server.security.keys.keyring import Keyring, has_keys  # noqa: PLC0415
    from auth_agent.server.security.secret_file import server_secrets  # noqa: PLC0415

    with opened(database) as db:
        # The server's address does not matter here; the secrets that protect its keys do.
        settings = server_settings(database, None if _has_issuer() else "http://127.0.0.1")
        secrets = server_secrets(settings, has_keys=has_keys(db, int(time.time())))
        # The servers may have other settings than this shell: a day is the longest that they allow.
        yield db, Keyring(db, secrets, settings.signing_algorithm, time.time, DAY)


def _has_issuer() -> bool:
    return bool(os.environ.get("AUTH_AGENT_SERVER_ISSUER"))


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
