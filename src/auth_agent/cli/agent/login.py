"""`auth-agent login`: sign an agent in to a website, step by step."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auth_agent.cli.agent.options import (
    AgentIdOption,
    IssuerOption,
    ModelOption,
    find_sdk,
)

if TYPE_CHECKING:
    from auth_agent.errors import AuthError
    from auth_agent.sdk import SignedIn, Step

LOGIN_EXIT_CODES = (
    "Exit codes: 0 signed in, 1 refused, 2 wrong usage, 3 server or website cannot be reached."
)
REFUSED, USAGE, UNREACHABLE = 1, 2, 3
MAX_BODY = 4_096


def login(
    url: Annotated[
        str,
        typer.Argument(
            help="A page that needs an agent, a page that offers the sign-in, or an authorization "
            "request of the issuer."
        ),
    ],
    *,
    agent_id: AgentIdOption,
    issuer: IssuerOption,
    model: ModelOption = None,
    cookies: Annotated[
        Path | None,
        typer.Option(
            "--cookies",
            help="Write the website's session to this file, for curl -b FILE; mode 0600.",
        ),
    ] = None,
    follow_form: Annotated[
        bool,
        typer.Option("--follow-form", help="Send the form of a page that signs in with a form."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors only, on stderr.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Sign an agent in to a website, and show what happens.

    The agent's secret comes from AUTH_AGENT_AGENT_SECRET, from the file (chmod 600) named by
    AUTH_AGENT_AGENT_SECRET_FILE or from the keyring, or is asked for; with a key instead of it,
    AUTH_AGENT_AGENT_PRIVATE_KEY names its file. AUTH_AGENT_AGENT_SIGNING_KEY, if set, names the
    key that signs its requests. If no variable names an agent, a .env in this
    folder does (`agent add --env .env` writes it; only its owner may read it).
    AUTH_AGENT_AGENT_WEBSITES and AUTH_AGENT_AGENT_SCOPES, comma separated, bound what the agent
    may sign in to.
    """
    from auth_agent.errors import AuthError, ServerUnavailable, SettingsError  # noqa: PLC0415
    from auth_agent.sdk.identity.credentials import find_signing  # noqa: PLC0415

    output = _JsonOutput(url, agent_id) if as_json else _Output(quiet=quiet)
    try:
        _check_folder(cookies)
        sdk = find_sdk(agent_id, issuer, model, **find_signing(os.environ))
        with sdk.sign_in(
            url, second_factor=_ask_code(), follow_form=follow_form, on_step=output.step
        ) as site:
            _write_cookies(cookies, site)
            output.signed_in(site, cookies)
    except AuthError as error:
        output.refused(error)
        if isinstance(error, SettingsError):
            raise typer.Exit(USAGE) from None
        unreachable = isinstance(error, ServerUnavailable) or error.code == "timeout"
        raise typer.Exit(UNREACHABLE if unreachable else REFUSED) from None


def _ask_code() -> Callable[[], str] | None:
    """Returns a prompt for the code that was mailed to the owner; None without a terminal."""
    if not sys.stdin.isatty():
        return None
    return lambda: str(typer.prompt("The code that was mailed to the agent's owner", err=True))


def _check_folder(cookies: Path | None) -> None:
    """Raises, before the sign-in, if the session could not be written after it."""
    from auth_agent.errors import SettingsError  # noqa: PLC0415
    from auth_agent.sdk.identity.private_file import may_write  # noqa: PLC0415

    if cookies is None:
        return
    if not may_write(cookies) or not os.access(cookies.parent, os.W_OK):
        raise SettingsError([f"--cookies: {cookies} cannot be written; give a file in a folder of "
                             "your own"])  # fmt: skip


def _write_cookies(path: Path | None, site: SignedIn) -> None:
    if path is None:
        return
    from urllib.parse import urlsplit  # noqa: PLC0415

    from auth_agent.errors import SettingsError  # noqa: PLC0415
    from auth_agent.sdk.flow.cookies import netscape  # noqa: PLC0415
    from auth_agent.sdk.identity.private_file import write_private  # noqa: PLC0415

    text = netscape(site.client.cookies.jar, urlsplit(site.url).hostname or "")
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise SettingsError([f"--cookies: {path} cannot be written ({error.strerror})"]) from None


class _Output:
    """Output for people: one line for each step, wrapped at the terminal's width."""

    def __init__(self, *, quiet: bool) -> None:
        from auth_agent.cli.output import Lines  # noqa: PLC0415

        self._quiet = quiet
        self._lines, self._errors = Lines(), Lines(stderr=True)

    def step(self, step: Step) -> None:
        status = f"  ({step.status})" if step.status else ""
        if not self._quiet:
            self._lines.print(f"{step.text}{status}", margin="  ✓ ")

    def signed_in(self, site: SignedIn, cookies: Path | None) -> None:
        from auth_agent.flow.exchange import HttpResponse  # noqa: PLC0415
        from auth_agent.sdk.exchange.html import excerpt  # noqa: PLC0415

        if self._quiet:
            return
        response = site.response
        found = HttpResponse(response.status_code, dict(response.headers), response.content)
        self._lines.print(f"Signed in. {site.url.partition('?')[0]} answers:", style="bold green")
        self._lines.print(excerpt(found), margin="  ")
        if cookies is not None:
            # Quoted: the website chose the end of this URL, and people paste the line.
            command = shlex.join(["curl", "-b", str(cookies), site.url])
            self._lines.print(f"The session is in {cookies}: {command}")

    def refused(self, error: AuthError) -> None:
        self._errors.print(f"Not signed in ({error.code}). {error.description}", style="bold red")


class _JsonOutput:
    """Output for programs: one object on stdout in any case."""

    def __init__(self, url: str, agent_id: str) -> None:
        self._facts: dict[str, Any] = {"ok": False, "url": url, "agent_id": agent_id, "steps": []}

    def step(self, step: Step) -> None:
        import msgspec  # noqa: PLC0415

        self._facts["steps"].append(msgspec.to_builtins(step))

    def signed_in(self, site: SignedIn, cookies: Path | None) -> None:
        written = {} if cookies is None else {"cookies": str(cookies)}
        status = site.response.status_code
        self._end(ok=True, url=site.url, status=status, body=_body(site), **written)

    def refused(self, error: AuthError) -> None:
        self._end(error=error.code, error_description=error.description, status=error.status_code)

    def _end(self, **facts: Any) -> None:
        from auth_agent.cli.output import print_json  # noqa: PLC0415

        steps = self._facts.pop("steps")
        print_json({**self._facts, **facts, "steps": steps})


def _body(site: SignedIn) -> Any:
    """Returns the page as JSON if it is JSON, else the beginning of its text."""
    import json  # noqa: PLC0415

    response = site.response
    if "json" in response.headers.get("content-type", "").lower():
        try:
            found = json.loads(response.content, parse_constant=_no_constant)
            json.dumps([[found]], indent=2)  # once more inside than it will be printed
        except (ValueError, RecursionError):
            pass
        else:
            return found
    return response.text[:MAX_BODY]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
