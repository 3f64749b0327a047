"""`auth-agent agent signing-key`: the keys with which agents sign their requests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from auth_agent.cli.output import EXIT_CODES, fail, print_json, print_table, refusals_are_told
from auth_agent.cli.server.admin import DEFAULT_ISSUER, IssuerOption
from auth_agent.cli.server.agent_fields import AgentArgument
from auth_agent.cli.server.files import new_key_pair, write_private
from auth_agent.cli.server.storage import DEFAULT_DATABASE, DatabaseOption, JsonOption, opened

app = typer.Typer(
    no_args_is_help=True,
    help="The keys with which an agent signs its requests (RFC 9421, Web Bot Auth).",
    epilog=EXIT_CODES,
)


@dataclass(frozen=True, repr=False)
class SigningPair:
    """A key's public half, and the file of its private half; `private` if it is to be written."""

    public: str
    path: str | None = None
    private: str | None = None

    def write(self) -> None:
        """Writes a new private key, for its owner alone."""
        if self.private is not None and self.path is not None:
            write_private(Path(self.path), self.private)


def read_pair(given: Path | None, new: Path | None) -> SigningPair | None:
    """Returns the key of a file, or a new one for a file; only its public half is registered.

    Raises ValueError if the key cannot be read or made, or if other users can read it.
    """
    if given and new:
        raise ValueError("give FILE or --new FILE, not both")
    if new:
        private, public = new_key_pair(new)
        return SigningPair(public, str(new.absolute()), private)
    if not given:
        return None
    text = _read(given)
    if "PRIVATE KEY-----" not in text:
        return SigningPair(text)
    return SigningPair(_public_half(text, given), str(given.absolute()))


@app.command("add", epilog=EXIT_CODES)
def add(
    agent_id: AgentArgument,
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="An Ed25519 key: PEM, or a public JWK. Only the public half is registered.",
        ),
    ] = None,
    *,
    new: Annotated[
        Path | None, typer.Option("--new", help="Make a key and write it to this file (0600).")
    ] = None,
    issuer: IssuerOption = DEFAULT_ISSUER,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Add a key that the agent signs its requests with."""
    from auth_agent.server.registry.request_keys import add_request_key  # noqa: PLC0415
    from auth_agent.server.web.urls import agent_url  # noqa: PLC0415

    with refusals_are_told():
        pair = read_pair(file, new)
    if pair is None:
        raise typer.BadParameter("give the key's FILE, or --new FILE to make one")
    with opened(database) as db:
        kid = add_request_key(db, agent_id, pair.public, int(time.time()))
        if kid is None:
            raise fail(f"There is no agent {agent_id}")
        pair.write()
    named = agent_url(issuer, agent_id)
    if as_json:
        print_json({"agent_id": agent_id, "kid": kid, "signature_agent": named})
        return
    typer.echo(f"{agent_id} may sign its requests with the key {kid}, as {named}.")
    if new:
        typer.echo(f"The signing key is in {new}.")


@app.command("list", epilog=EXIT_CODES)
def list_(
    agent_id: AgentArgument,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """List the keys that an agent signs its requests with."""
    from auth_agent.server.registry.request_keys import list_request_keys  # noqa: PLC0415

    with opened(database) as db, db.read() as connection:
        found = list_request_keys(connection, agent_id)
    if as_json:
        print_json(found)
        return
    rows = [(row["kid"], _day(row["created_at"])) for row in found]
    print_table(("kid", "added"), rows)


@app.command("remove", epilog=EXIT_CODES)
def remove(
    agent_id: AgentArgument,
    kid: Annotated[str, typer.Argument(help="The key's id, as `agent signing-key list` shows it.")],
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Remove a key for good; websites stop accepting it within five minutes."""
    from auth_agent.server.registry.request_keys import remove_request_key  # noqa: PLC0415

    with opened(database) as db:
        removed = remove_request_key(db, agent_id, kid, int(time.time()))
    if not removed:
        raise fail(f"The agent {agent_id} has no signing key {kid}")
    typer.echo(f"{kid} is removed.")


def _read(path: Path) -> str:
    from auth_agent.protocol.jose.key_file import KeyFileShared, read_key_file  # noqa: PLC0415

    try:
        return read_key_file(path)
    except KeyFileShared:
        raise ValueError(
            f"{path} can be read or changed by other users: run chmod 600 on it"
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{path} is neither PEM nor JSON") from None


def _public_half(pem: str, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    from auth_agent.protocol.jose.private_key import load_key  # noqa: PLC0415
    from auth_agent.secret import Secret  # noqa: PLC0415

    try:
        key = load_key(Secret(pem)).key
    except ValueError:
        raise ValueError(f"{path} contains no usable private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"requests are signed with an Ed25519 key; {path} contains another kind")  # noqa: TRY004
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
