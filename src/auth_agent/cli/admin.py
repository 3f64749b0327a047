"""`auth-agent admin`: the people who may use the console, and tokens for programs."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import EXIT_CODES, fail, print_json, print_table, print_values
from .storage import DEFAULT_DATABASE, DatabaseOption, JsonOption, opened

if TYPE_CHECKING:
    from auth_agent.secret import Secret
    from auth_agent.server import Database

app = typer.Typer(no_args_is_help=True, help="Administrators of the server.", epilog=EXIT_CODES)
PASSWORD_VARIABLE = "AUTH_AGENT_ADMIN_PASSWORD"
DEFAULT_ISSUER = "http://127.0.0.1:8420"

IssuerOption = Annotated[
    str,
    typer.Option(
        "--issuer", envvar="AUTH_AGENT_SERVER_ISSUER", help="The server's URL, for the link."
    ),
]


@app.command("create", epilog=EXIT_CODES)
def create(
    name: Annotated[str, typer.Argument(help="What the administrator signs in with.")] = "admin",
    *,
    link: Annotated[
        bool, typer.Option("--link", help="Ask for no password: print a link to choose one.")
    ] = False,
    issuer: IssuerOption = DEFAULT_ISSUER,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Make an administrator of the console.

    The password comes from AUTH_AGENT_ADMIN_PASSWORD or is asked for. With --link, or where
    nobody can be asked, a link is printed that lets whoever opens it choose the password, once.
    """
    from auth_agent.server import console_accounts  # noqa: PLC0415

    password = None if link else _password(ask=not as_json)
    with opened(database) as db:
        account_id = console_accounts.create_account(db, name, password, int(time.time()))
        values = {"admin_id": account_id, "name": console_accounts.clean_name(name)}
        if password is None:
            values |= _link(db, account_id, issuer)
    _print(values, as_json=as_json)


@app.command("link", epilog=EXIT_CODES)
def link(
    name: Annotated[str, typer.Argument(help="As `admin list` shows it.")],
    *,
    issuer: IssuerOption = DEFAULT_ISSUER,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Print a link that lets an administrator choose a new password, once."""
    from auth_agent.server import console_accounts  # noqa: PLC0415

    with opened(database) as db:
        account_id = _find(db, name)
        values = {"admin_id": account_id, "name": console_accounts.clean_name(name)}
        values |= _link(db, account_id, issuer)
    _print(values, as_json=as_json)


@app.command("list", epilog=EXIT_CODES)
def list_(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """List the administrators."""
    from auth_agent.server import console_accounts  # noqa: PLC0415

    with opened(database) as db:
        found = console_accounts.list_accounts(db)
    if as_json:
        print_json(found)
        return
    print_table(
        ("admin_id", "name", "state"),
        [
            (row["admin_id"], row["name"], "active" if row["has_password"] else "no password yet")
            for row in found
        ],
    )


@app.command("remove", epilog=EXIT_CODES)
def remove(
    name: Annotated[str, typer.Argument(help="As `admin list` shows it.")],
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Remove an administrator and sign every browser out."""
    from auth_agent.server import console_accounts  # noqa: PLC0415

    with opened(database) as db:
        console_accounts.remove_account(db, _find(db, name), int(time.time()))
    typer.echo(f"{name} is removed.")


def setup_url(issuer: str, token: Secret) -> str:
    """Where a one-time link leads."""
    return f"{issuer}/console/setup?token={token.reveal()}"


def _link(database: Database, account_id: str, issuer: str) -> dict[str, Any]:
    from auth_agent.server import console_accounts  # noqa: PLC0415

    token = console_accounts.make_setup_link(database, account_id, int(time.time()))
    return {
        "setup_url": setup_url(issuer, token),
        "expires_in": console_accounts.LINK_LIFETIME,
    }


def _password(*, ask: bool) -> Secret | None:
    """From the environment, else from a prompt that shows nothing; None where nobody is asked."""
    from auth_agent.secret import Secret  # noqa: PLC0415

    if given := os.environ.get(PASSWORD_VARIABLE):
        return Secret(given)
    if not ask or not sys.stdin.isatty():
        return None
    text = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return Secret(text)


def _find(database: Database, name: str) -> str:
    from auth_agent.server import console_accounts  # noqa: PLC0415

    with database.read() as connection:
        account = console_accounts.find_account_named(connection, name)
    if account is None:
        raise fail(f"There is no administrator {name}")
    return account.id


def _print(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(values)
        return
    has_link = "setup_url" in values
    shown = {name: str(value) for name, value in values.items() if name != "expires_in"}
    minutes = values.get("expires_in", 0) // 60
    print_values(shown, f"The link works once, for {minutes} minutes." if has_link else "")
