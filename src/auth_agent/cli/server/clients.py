"""`auth-agent client`: the websites that may sign agents in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from auth_agent.cli.output import (
    EXIT_CODES,
    fail,
    print_change,
    print_credentials,
    print_json,
    print_table,
    refusals_are_told,
)
from auth_agent.cli.server.admin import DEFAULT_ISSUER, IssuerOption
from auth_agent.cli.server.files import EnvironmentFile
from auth_agent.cli.server.options import (
    ClientArgument,
    DpopOption,
    EnvOption,
    IdTokenAlgOption,
    JwksOption,
    JwksUriOption,
    LogoutOption,
    LogoutSessionOption,
    NativeOption,
    PostLogoutOption,
    PublicOption,
    RedirectUriOption,
    ResourceOption,
    ScopeOption,
    StrictAudienceOption,
    UpstreamCompatOption,
    changes_of,
    words,
)
from auth_agent.cli.server.storage import DEFAULT_DATABASE, DatabaseOption, JsonOption, opened

app = typer.Typer(no_args_is_help=True, help="Websites that can sign agents in.", epilog=EXIT_CODES)


@app.command("add", epilog=EXIT_CODES)
def add(
    name: Annotated[str, typer.Argument(help="The website's name, shown while an agent signs in.")],
    *,
    redirect_uri: RedirectUriOption,
    scope: ScopeOption = None,
    resource: ResourceOption = None,
    backchannel_logout_uri: LogoutOption = None,
    logout_session: LogoutSessionOption = None,
    jwks: JwksOption = None,
    jwks_uri: JwksUriOption = None,
    public: PublicOption = False,
    native: NativeOption = False,
    post_logout_redirect_uri: PostLogoutOption = None,
    id_token_alg: IdTokenAlgOption = None,
    strict_audience: StrictAudienceOption = None,
    dpop: DpopOption = None,
    upstream_compat: UpstreamCompatOption = False,
    env: EnvOption = None,
    issuer: IssuerOption = DEFAULT_ISSUER,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Register a website; its secret is shown once."""
    from auth_agent.server.registry import clients  # noqa: PLC0415
    from auth_agent.server.registry.variables import website_variables  # noqa: PLC0415
    from auth_agent.server.settings import DEFAULT_SCOPES  # noqa: PLC0415

    if native:
        _check_native(redirect_uri)
    file = _environment_file(env)
    with opened(database) as db:
        made = clients.add_client(
            db,
            name,
            redirect_uri,
            scopes=words(scope) or DEFAULT_SCOPES,
            resources=resource or (),
            public=public or native,
            post_logout_redirect_uris=post_logout_redirect_uri or (),
            id_token_alg=id_token_alg,
            strict_audience=bool(strict_audience),
            backchannel_logout_session_required=bool(logout_session),
            dpop_bound=bool(dpop),
            upstream_compat=upstream_compat,
            jwks=jwks.read_text() if jwks else None,
            jwks_uri=jwks_uri,
            backchannel_logout_uri=backchannel_logout_uri,
            now=int(time.time()),
        )
        secret = made.client_secret.reveal() if made.client_secret else None
        if file:
            scopes = " ".join(words(scope))
            file.add(website_variables(issuer, made.client_id, secret, redirect_uri[0], scopes))
    print_credentials({"client_id": made.client_id, "client_secret": secret}, as_json=as_json)
    if file and not as_json:
        typer.echo(f"The website's variables are in {env}, for an Auth Agent server at {issuer}.")


def _check_native(redirect_uris: list[str]) -> None:
    from auth_agent.server.web.urls import is_native_uri  # noqa: PLC0415

    if not all(map(is_native_uri, redirect_uris)):
        raise fail(
            "A native client returns to a loopback host or under a scheme of its own; leave out "
            "--native, or the other redirect URIs"
        )


def _environment_file(path: Path | None) -> EnvironmentFile | None:
    """Returns the file, before anything is made, if the website's lines can be added to it."""
    if path is None:
        return None
    file = EnvironmentFile(path)
    with refusals_are_told():
        file.check("AUTH_AGENT_ISSUER", "AUTH_AGENT_CLIENT_ID", "AUTH_AGENT_CLIENT_SECRET",
                   "AUTH_AGENT_SECRET", "AUTH_AGENT_BASE_URL")  # fmt: skip
    return file


@app.command("list", epilog=EXIT_CODES)
def list_(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """List the registered websites."""
    from auth_agent.server.registry import clients  # noqa: PLC0415

    with opened(database) as db:
        found = clients.list_clients(db)
    if as_json:
        print_json(found)
        return
    print_table(
        ("client_id", "name", "redirect URIs", "scopes"),
        [
            (
                row["client_id"],
                row["name"],
                " ".join(row["redirect_uris"]),
                " ".join(row["scopes"]),
            )
            for row in found
        ],
    )


@app.command("update", epilog=EXIT_CODES)
def change(
    client_id: ClientArgument,
    *,
    name: Annotated[str | None, typer.Option("--name", help="The website's name.")] = None,
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option("--redirect-uri", help="Replaces all redirect URIs; repeatable."),
    ] = None,
    scope: ScopeOption = None,
    resource: ResourceOption = None,
    backchannel_logout_uri: LogoutOption = None,
    logout_session: LogoutSessionOption = None,
    post_logout_redirect_uri: PostLogoutOption = None,
    jwks: JwksOption = None,
    jwks_uri: JwksUriOption = None,
    id_token_alg: IdTokenAlgOption = None,
    strict_audience: StrictAudienceOption = None,
    dpop: DpopOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Change a website; options that you leave out stay as they are.

    An empty value removes the logout URI, the addresses after signing out, or the algorithm of its
    ID tokens.
    """
    from auth_agent.server.registry import clients  # noqa: PLC0415

    if jwks and jwks_uri:
        raise typer.BadParameter("leave out --jwks or --jwks-uri")
    given = {
        "name": name,
        "redirect_uris": redirect_uri,
        "scopes": words(scope) or None,
        "resources": resource,
        "backchannel_logout_uri": backchannel_logout_uri,
        "backchannel_logout_session_required": logout_session,
        "post_logout_redirect_uris": _without_empty(post_logout_redirect_uri),
        "jwks": jwks.read_text() if jwks else None,
        "jwks_uri": jwks_uri,
        "id_token_alg": id_token_alg,
        "strict_audience": strict_audience,
        "dpop_bound": dpop,
    }
    cleared = ("id_token_alg",) if id_token_alg == "" else ()
    changes = changes_of(given, cleared=cleared, example="--redirect-uri")
    with opened(database) as db:
        if not clients.change_client(db, client_id, int(time.time()), **changes):
            raise fail(f"There is no website {client_id}")
        found = next(row for row in clients.list_clients(db) if row["client_id"] == client_id)
    print_change(client_id, changes, found, as_json=as_json)


def _without_empty(uris: list[str] | None) -> list[str] | None:
    return None if uris is None else [uri for uri in uris if uri]


@app.command("remove", epilog=EXIT_CODES)
def remove(
    client_id: ClientArgument,
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Remove a website and end all its tokens."""
    from auth_agent.server.tokens import endings  # noqa: PLC0415

    with opened(database) as db:
        removed = endings.remove_client(db, client_id, int(time.time()))
    if not removed:
        raise fail(f"There is no website {client_id}")
    typer.echo(f"{client_id} is removed and its tokens are revoked.")


@app.command("rotate-secret", epilog=EXIT_CODES)
def rotate_secret(
    client_id: ClientArgument,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Replace a website's secret; the old one stops working immediately."""
    from auth_agent.server.registry import clients  # noqa: PLC0415

    with opened(database) as db:
        secret = clients.rotate_client_secret(db, client_id, int(time.time()))
    if secret is None:
        raise fail(f"There is no website {client_id} that has a secret")
    values = {"client_id": client_id, "client_secret": secret.reveal()}
    print_credentials(values, as_json=as_json)
