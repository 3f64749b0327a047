"""`auth-agent resource`: the APIs that native clients may ask tokens for."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from auth_agent.cli.output import EXIT_CODES, fail, print_json, print_table
from auth_agent.cli.server.storage import DEFAULT_DATABASE, DatabaseOption, JsonOption, opened

app = typer.Typer(
    no_args_is_help=True,
    help="APIs and MCP servers that native clients can ask tokens for.",
    epilog=EXIT_CODES,
)


@app.command("add", epilog=EXIT_CODES)
def add(
    url: Annotated[str, typer.Argument(help="The API's URL, as its tokens name it (`aud`).")],
    name: Annotated[
        str, typer.Option("--name", help="Shown to the agent and its owner; default: the host.")
    ] = "",
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="A scope of this API; repeatable.")
    ] = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Register an API, so that native clients can ask agents for access to it."""
    from auth_agent.server.registry.resources import add_resource  # noqa: PLC0415

    scopes = [word for option in scope or () for word in option.split()]
    with opened(database) as db:
        made = add_resource(db, url, now=int(time.time()), name=name, scopes=scopes)
    if as_json:
        print_json({"url": made.url, "name": made.name, "scopes": list(made.scopes)})
        return
    typer.echo(f"{made.url} is added: native clients can ask agents for access to it.")


@app.command("list", epilog=EXIT_CODES)
def list_(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """List the APIs that were added; the resources of websites are in `client list`."""
    from auth_agent.server.registry.resources import list_resources  # noqa: PLC0415

    with opened(database) as db:
        found = list_resources(db)
    if as_json:
        print_json(found)
        return
    rows = [(row["url"], row["name"], " ".join(row["scopes"])) for row in found]
    print_table(("URL", "name", "scopes"), rows)


@app.command("remove", epilog=EXIT_CODES)
def remove(
    url: Annotated[str, typer.Argument(help="The URL, as `resource list` shows it.")],
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Remove an API; tokens that were issued for it stay valid until they expire."""
    from auth_agent.server.registry.resources import remove_resource  # noqa: PLC0415

    with opened(database) as db:
        removed = remove_resource(db, url, int(time.time()))
    if not removed:
        raise fail(f"There is no resource {url}")
    typer.echo(f"{url} is removed.")
