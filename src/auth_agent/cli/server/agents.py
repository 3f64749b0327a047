"""`auth-agent agent`: the AI agents that have an identity here."""

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
from auth_agent.cli.server import signing_keys
from auth_agent.cli.server.admin import DEFAULT_ISSUER, IssuerOption
from auth_agent.cli.server.agent_fields import (
    AgentArgument,
    ApprovalOption,
    DisplayNameOption,
    EnvOption,
    NewKeyOption,
    NewSigningKeyOption,
    PermissionOption,
    PublicKeyOption,
    RequireOriginOption,
    ScopeOption,
    SigningKeyOption,
)
from auth_agent.cli.server.files import EnvironmentFile, new_key_pair, write_private
from auth_agent.cli.server.options import DpopOption, changes_of, words
from auth_agent.cli.server.storage import DEFAULT_DATABASE, DatabaseOption, JsonOption, opened

app = typer.Typer(no_args_is_help=True, help="AI agents and their owners.", epilog=EXIT_CODES)
app.add_typer(signing_keys.app, name="signing-key")


@app.command("add", epilog=EXIT_CODES)
def add(
    email: Annotated[
        str, typer.Argument(help=("The owner's e-mail address; you vouch that it is the owner's."))
    ],
    *,
    name: Annotated[str, typer.Option("--name", help="The owner's name.")] = "",
    display_name: DisplayNameOption = None,
    model: Annotated[
        str, typer.Option("--model", help=("Its default model; the agent can name another one."))
    ] = "",
    scope: ScopeOption = None,
    permission: PermissionOption = None,
    public_key: PublicKeyOption = None,
    new_key: NewKeyOption = None,
    signing_key: SigningKeyOption = None,
    new_signing_key: NewSigningKeyOption = None,
    env: EnvOption = None,
    require_origin: Annotated[
        bool, typer.Option("--require-origin", help="Require the agent to name the website.")
    ] = False,
    dpop: DpopOption = None,
    approval: ApprovalOption = None,
    unverified: Annotated[
        bool,
        typer.Option("--unverified", help=("Do not vouch: tokens then omit the e-mail address.")),
    ] = False,
    issuer: IssuerOption = DEFAULT_ISSUER,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Register an agent; its secret is shown once."""
    from auth_agent.server.registry import agents  # noqa: PLC0415
    from auth_agent.server.registry.variables import agent_variables  # noqa: PLC0415

    file = EnvironmentFile(env) if env else None
    with refusals_are_told():
        key = _made_key(new_key, public_key, new_signing_key)
        signer = signing_keys.read_pair(signing_key, new_signing_key)
        if file:
            file.check("AUTH_AGENT_AGENT_ID", "AUTH_AGENT_AGENT_ISSUER", "AUTH_AGENT_AGENT_SECRET")
    with opened(database) as db:
        made = agents.add_agent(
            db,
            email,
            name=name,
            display_name=display_name or "",
            model=model,
            scopes=words(scope) if scope else None,
            permissions=permission or (),
            require_origin=require_origin,
            dpop_bound=bool(dpop),
            approval=None if approval == "default" else approval,
            verified=not unverified,
            public_key=key[1] if key else public_key.read_text() if public_key else None,
            signing_key=signer.public if signer else None,
            now=int(time.time()),
        )
        secret = made.agent_secret.reveal() or None
        if key and new_key:
            write_private(new_key, key[0])
        if signer:
            signer.write()
        if file:
            keys = {
                "key": str(new_key.absolute()) if new_key else None,
                "signing_key": signer.path if signer else None,
            }
            file.add(agent_variables(issuer, made.agent_id, model=model, secret=secret, **keys))
    print_credentials({"agent_id": made.agent_id, "agent_secret": secret}, as_json=as_json)
    if not as_json:
        _print_files(new_key, new_signing_key, env)


def _made_key(
    path: Path | None, public_key: Path | None, new_signing_key: Path | None
) -> tuple[str, str] | None:
    """Returns a new private key for the file `path`, and its public half.

    Raises ValueError if another option contradicts it.
    """
    if path is None:
        return None
    if public_key:
        raise ValueError("leave out --new-key or --public-key: an agent has one key")
    if new_signing_key and path.absolute() == new_signing_key.absolute():
        raise ValueError(
            "give two different files: an agent signs its requests with another key than it "
            "signs in with"
        )
    return new_key_pair(path)


def _print_files(key: Path | None, signing_key: Path | None, env: Path | None) -> None:
    if key:
        typer.echo(f"The private key is in {key}.")
    if signing_key:
        typer.echo(f"The signing key is in {signing_key}.")
    if env:
        typer.echo(f"The agent's variables are in {env}.")


@app.command("list", epilog=EXIT_CODES)
def list_(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """List the registered agents."""
    from auth_agent.server.registry import agents  # noqa: PLC0415

    with opened(database) as db:
        found = agents.list_agents(db)
    if as_json:
        print_json(found)
        return
    print_table(
        ("agent_id", "name", "owner", "model", "state"),
        [
            (
                row["agent_id"],
                row["display_name"],
                row["email"] + ("" if row["email_verified"] else " (not verified)"),
                row["model"],
                "disabled" if row["disabled"] else "active",
            )
            for row in found
        ],
    )


@app.command("update", epilog=EXIT_CODES)
def change(
    agent_id: AgentArgument,
    *,
    email: Annotated[
        str | None,
        typer.Option(
            "--email", help=("The owner's new e-mail address; the owner has to prove it.")
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The owner's name.")] = None,
    display_name: DisplayNameOption = None,
    model: Annotated[str | None, typer.Option("--model", help="Its default model.")] = None,
    scope: ScopeOption = None,
    any_scope: Annotated[bool, typer.Option("--any-scope", help="Allow any scope.")] = False,
    permission: PermissionOption = None,
    public_key: PublicKeyOption = None,
    require_origin: RequireOriginOption = None,
    dpop: DpopOption = None,
    approval: ApprovalOption = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Change an agent; options that you leave out stay as they are."""
    from auth_agent.server.registry import agents  # noqa: PLC0415

    if scope and any_scope:
        raise typer.BadParameter("leave out --scope or --any-scope")
    given = {
        "email": email,
        "name": name,
        "display_name": display_name,
        "model": model,
        "scopes": words(scope) if scope else None,
        "permissions": permission,
        "jwks": public_key.read_text() if public_key else None,
        "require_origin": require_origin,
        "dpop_bound": dpop,
        "approval": "" if approval == "default" else approval,
    }
    cleared = ("scopes",) if any_scope else ()
    changes = changes_of(given, cleared=cleared, example="--display-name")
    with opened(database) as db:
        if not agents.change_agent(db, agent_id, int(time.time()), **changes):
            raise fail(f"There is no agent {agent_id}")
        found = next(row for row in agents.list_agents(db) if row["agent_id"] == agent_id)
    print_change(agent_id, changes, found, as_json=as_json)


@app.command("enable", epilog=EXIT_CODES)
def enable(agent_id: AgentArgument, database: DatabaseOption = DEFAULT_DATABASE) -> None:
    """Let a disabled agent sign in again; its old tokens stay revoked."""
    from auth_agent.server.registry import agents  # noqa: PLC0415

    with opened(database) as db:
        enabled = agents.enable_agent(db, agent_id, int(time.time()))
    if not enabled:
        raise fail(f"There is no disabled agent {agent_id}")
    typer.echo(f"{agent_id} is enabled.")


@app.command("disable", epilog=EXIT_CODES)
def disable(
    agent_id: AgentArgument,
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Disable an agent and revoke all its tokens."""
    from auth_agent.server.tokens import endings  # noqa: PLC0415

    with opened(database) as db:
        disabled = endings.disable_agent(db, agent_id, int(time.time()))
    if not disabled:
        raise fail(f"There is no active agent {agent_id}")
    typer.echo(f"{agent_id} is disabled and its tokens are revoked.")


@app.command("rotate-secret", epilog=EXIT_CODES)
def rotate_secret(
    agent_id: AgentArgument,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Replace an agent's secret; the old one stops working immediately."""
    from auth_agent.server.registry import agents  # noqa: PLC0415

    with opened(database) as db:
        secret = agents.rotate_agent_secret(db, agent_id, int(time.time()))
    if secret is None:
        raise fail(f"There is no active agent {agent_id} that has a secret")
    values = {"agent_id": agent_id, "agent_secret": secret.reveal()}
    print_credentials(values, as_json=as_json)
