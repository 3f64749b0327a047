"""`auth-agent sign`: the headers of a signed request, for curl and other programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auth_agent.cli.output import print_json, refusals_are_told

if TYPE_CHECKING:
    from auth_agent.sdk.flow.signer import Signer

MAX_BODY = 64 * 1_048_576


def sign(
    url: Annotated[str, typer.Argument(help="The URL of the request, as it will be sent.")],
    *,
    method: Annotated[str, typer.Option("--method", "-X", help="The request's method.")] = "",
    body: Annotated[
        Path | None,
        typer.Option("--body", help="The file that is sent as the body; its digest is signed."),
    ] = None,
    signing_key: Annotated[
        Path | None,
        typer.Option(
            "--signing-key",
            envvar="AUTH_AGENT_AGENT_SIGNING_KEY",
            help="The agent's signing key (Ed25519, PEM), a file that only you can read.",
        ),
    ] = None,
    signature_agent: Annotated[
        str | None,
        typer.Option(
            "--signature-agent",
            envvar="AUTH_AGENT_AGENT_SIGNATURE_AGENT",
            help="The URL that publishes the key; default: ISSUER/agents/AGENT_ID.",
        ),
    ] = None,
    agent_id: Annotated[
        str, typer.Option(envvar="AUTH_AGENT_AGENT_ID", help="The agent's id.")
    ] = "",
    issuer: Annotated[
        str, typer.Option(envvar="AUTH_AGENT_AGENT_ISSUER", help="The agent's server.")
    ] = "",
    string_form: Annotated[
        bool, typer.Option("--string-form", help="Send the older form of Signature-Agent.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the headers of a signed request (RFC 9421, Web Bot Auth), valid for a minute.

    curl reads them: auth-agent sign URL | curl -H @- URL. With a body: auth-agent sign URL
    --body FILE | curl -H @- --data-binary @FILE URL. The method is POST if there is a body.
    """
    with refusals_are_told():
        named = signature_agent or _named(issuer, agent_id)
        content = b"" if body is None else _read(body)
        method = (method or ("POST" if body else "GET")).upper()
        headers = _signer(signing_key, named, string_form=string_form).headers(
            _checked_method(method), _checked_url(url), content
        )
    if as_json:
        print_json({"method": method, "url": url, "headers": dict(headers)})
        return
    for name, value in headers:
        typer.echo(f"{name}: {value}")


def _signer(path: Path | None, named: str, *, string_form: bool) -> Signer:
    from auth_agent.errors import SignatureRefused  # noqa: PLC0415
    from auth_agent.protocol.signatures.agents import read_agent  # noqa: PLC0415
    from auth_agent.sdk.flow.signer import Signer  # noqa: PLC0415
    from auth_agent.sdk.identity.options import read_key  # noqa: PLC0415

    try:
        read_agent(named, loopback_allowed=True)
    except SignatureRefused as error:
        raise ValueError(error.description) from None
    # The variable may hold the key itself, as elsewhere.
    given = os.environ.get("AUTH_AGENT_AGENT_SIGNING_KEY", "")
    key = read_key(given if str(path) == str(Path(given)) else path, "signing_key")
    if key is None:
        raise ValueError(
            "there is no signing key: give --signing-key FILE, or set "
            "AUTH_AGENT_AGENT_SIGNING_KEY (`auth-agent agent signing-key add` makes one)"
        )
    try:
        return Signer(key, named, form="string" if string_form else "dictionary")
    except ValueError as error:
        raise ValueError(f"the signing key {error}") from None


def _named(issuer: str, agent_id: str) -> str:
    if not issuer or not agent_id:
        raise ValueError("name the signer: --signature-agent URL, or --issuer and --agent-id")
    return f"{issuer}/agents/{agent_id}"


def _checked_url(url: str) -> str:
    from auth_agent.url import url_problem  # noqa: PLC0415

    url = url.partition("#")[0]
    if problem := url_problem(url, query=True):
        raise ValueError(f"the URL {problem}")
    return url


def _checked_method(method: str) -> str:
    if not method.isascii() or not method.replace("-", "").isalnum() or len(method) > 32:
        raise ValueError("--method is not an HTTP method")
    return method


def _read(path: Path) -> bytes:
    """Returns the body; `-` stands for standard input."""
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(MAX_BODY + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BODY + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_BODY:
        raise ValueError("the body is larger than 64 MiB")
    return content
