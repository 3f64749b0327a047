"""`auth-agent admin`: the people who may use the console, and tokens for programs."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auth_agent.cli.output import (
    EXIT_CODES,
    fail,
    print_credentials,
    print_json,
    print_table,
    print_values,
)
from auth_agent.cli.server.storage import DEFAULT_DATABASE, DatabaseOption, JsonOption, opened

if TYPE_CHECKING:
    from auth_agent.secret import Secret
    from auth_agent.server import Database

app = typer.Typer(no_args_is_help=True, help="Administrators of the server.", epilog=EXIT_CODES)
tokens = typer.Typer(no_args_is_help=True, help="Tokens for /api/admin/*.", epilog=EXIT_CODES)
app.add_typer(tokens, name="token")
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
    name: Annotated[
        str, typer.Argument(help="The name that the administrator signs in with.")
    ] = "admin",
    *,
    link: Annotated[
        bool,
        typer.Option("--link", help=("Do not ask for a password; print a link for choosing one.")),
    ] = False,
    issuer: IssuerOption = DEFAULT_ISSUER,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Make an administrator of the console.

    The password comes from AUTH_AGENT_ADMIN_PASSWORD or a prompt. With --link, or without a
    terminal, a single-use link is printed that opens a page to choose the password.
    """
    from auth_agent.server.registry.people import administrators as console_accounts  # noqa: PLC0415

    password = None if link else _password(ask=not as_json)
    with opened(database) as db:
        account_id = console_accounts.create_account(db, name, password, int(time.time()))
        values = {"admin_id": account_id, "name": console_accounts.clean_name(name)}
        if password is None:
            values |= _link(db, account_id, issuer)
    _print(values, as_json=as_json)


@app.command("link", epilog=EXIT_CODES)
def link(
    name: Annotated[str, typer.Argument(help="The name, as `admin list` shows it.")],
    *,
    issuer: IssuerOption = DEFAULT_ISSUER,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Print a link that lets an administrator choose a new password, once."""
    from auth_agent.server.registry.people import administrators as console_accounts  # noqa: PLC0415

    with opened(database) as db:
        account_id = _find(db, name)
        values = {"admin_id": account_id, "name": console_accounts.clean_name(name)}
        values |= _link(db, account_id, issuer)
    _print(values, as_json=as_json)


@app.command("list", epilog=EXIT_CODES)
def list_(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """List the administrators."""
    from auth_agent.server.registry.people import administrators as console_accounts  # noqa: PLC0415

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
    name: Annotated[str, typer.Argument(help="The name, as `admin list` shows it.")],
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Remove an administrator and sign every browser out."""
    from auth_agent.server.registry.people import administrators as console_accounts  # noqa: PLC0415

    with opened(database) as db:
        console_accounts.remove_account(db, _find(db, name), int(time.time()))
    typer.echo(f"{name} is removed.")


@tokens.command("create", epilog=EXIT_CODES)
def create_token(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    days: Annotated[
        int, typer.Option("--days", min=1, max=3650, help="How long the token is valid.")
    ] = 90,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Make a bearer token with which a program administers the server; it is shown once."""
    from auth_agent.server.bounds import DAY  # noqa: PLC0415
    from auth_agent.server.registry.people import admin_tokens as administrators  # noqa: PLC0415
    from auth_agent.server.registry.people import administrators as console_accounts  # noqa: PLC0415

    with opened(database) as db:
        checked = console_accounts.checked_name(name)
        token = administrators.add_admin(db, checked, int(time.time()), days * DAY)
    print_credentials({"name": checked, "admin_token": token.reveal()}, as_json=as_json)


@tokens.command("list", epilog=EXIT_CODES)
def list_tokens(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """List the valid tokens; the tokens themselves are not stored."""
    from auth_agent.server.registry.people import administrators as console_accounts  # noqa: PLC0415

    with opened(database) as db:
        found = console_accounts.list_tokens(db, int(time.time()))
    if as_json:
        print_json(found)
        return
    rows = [(row["admin_id"], row["name"], _day(row["expires_at"])) for row in found]
    print_table(("admin_id", "name", "good until"), rows)


@tokens.command("revoke", epilog=EXIT_CODES)
def revoke_token(
    admin_id: Annotated[
        str, typer.Argument(help=("The token's id, as `admin token list` shows it."))
    ],
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Revoke a token immediately."""
    from auth_agent.server.registry.people import admin_tokens as administrators  # noqa: PLC0415

    with opened(database) as db:
        revoked = administrators.revoke_admin(db, admin_id, int(time.time()))
    if not revoked:
        raise fail(f"There is no token {admin_id}")
    typer.echo(f"{admin_id} is revoked.")


def setup_url(issuer: str, token: Secret) -> str:
    """Returns the URL of a single-use link."""
    return f"{issuer}/console/setup?token={token.reveal()}"


def _link(database: Database, account_id: str, issuer: str) -> dict[str, Any]:
    from auth_agent.server.registry.people import administrators as console_accounts  # noqa: PLC0415

    token = console_accounts.make_setup_link(database, account_id, int(time.time()))
    return {
        "setup_url": setup_url(issuer, token),
        "expires_in": console_accounts.LINK_LIFETIME,
    }


def _password(*, ask: bool) -> Secret | None:
    """Returns the password from the environment or a hidden prompt; None without a terminal."""
    from auth_agent.secret import Secret  # noqa: PLC0415

    if given := os.environ.get(PASSWORD_VARIABLE):
        return Secret(given)
    if not ask or not sys.stdin.isatty():
        return None
    text = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return Secret(text)


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _find(database: Database, name: str) -> str:
    from auth_agent.server.registry.people import administrators as console_accounts  # noqa: PLC0415

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
