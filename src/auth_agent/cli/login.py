"""`auth-agent login`: sign an agent in to a website, told step by step."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from auth_agent.errors import AuthError
    from auth_agent.sdk import SignedIn, Step
    from auth_agent.secret import Secret

LOGIN_EXIT_CODES = (
    "Exit codes: 0 signed in, 1 refused, 2 wrong usage, 3 server or website cannot be reached."
)
REFUSED, USAGE, UNREACHABLE = 1, 2, 3
MAX_BODY = 4_096


def login(
    url: Annotated[str, typer.Argument(help="A page of the website that needs an agent.")],
    *,
    agent_id: Annotated[str, typer.Option(envvar="AUTH_AGENT_AGENT_ID", help="The agent's id.")],
    issuer: Annotated[
        str,
        typer.Option(
            envvar="AUTH_AGENT_AGENT_ISSUER",
            help="The agent's Auth Agent server; its secret is sent nowhere else.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(envvar="AUTH_AGENT_AGENT_MODEL", help="The model that the agent runs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Sign an agent in to a website, and show what happens.

    The agent's secret comes from AUTH_AGENT_AGENT_SECRET, from the file (chmod 600) named by
    AUTH_AGENT_AGENT_SECRET_FILE or from the keyring, or is asked for; with a key instead of it,
    AUTH_AGENT_AGENT_PRIVATE_KEY names its file.
    """
    from auth_agent.errors import AuthError, ServerUnavailable, SettingsError  # noqa: PLC0415
    from auth_agent.sdk import AgentSDK  # noqa: PLC0415

    teller = _JsonTeller(url, agent_id) if as_json else _Teller()
    try:
        secret, key = _credential(agent_id)
        sdk = AgentSDK(
            agent_id=agent_id,
            agent_secret=secret,
            private_key=key,
            server_url=issuer,
            model=model,
        )
        with sdk.sign_in(url, second_factor=_ask_code(), on_step=teller.step) as site:
            teller.signed_in(site)
    except AuthError as error:
        teller.refused(error)
        if isinstance(error, SettingsError):
            raise typer.Exit(USAGE) from None
        unreachable = isinstance(error, ServerUnavailable) or error.code == "timeout"
        raise typer.Exit(UNREACHABLE if unreachable else REFUSED) from None


def _credential(agent_id: str) -> tuple[Secret | None, str | None]:
    """Secret or key, else from a prompt that shows nothing; never from an argument."""
    from auth_agent.sdk.identity.credentials import HOW, find_key, find_secret  # noqa: PLC0415
    from auth_agent.secret import Secret  # noqa: PLC0415

    if key := find_key(os.environ):
        return None, key
    found = find_secret(os.environ, agent_id)
    if found is None and not sys.stdin.isatty():
        typer.echo(f"The agent's secret is missing: {HOW}.", err=True)
        raise typer.Exit(USAGE)
    return found or Secret(typer.prompt("The agent's secret", hide_input=True, err=True)), None


def _ask_code() -> Callable[[], str] | None:
    """Asks whoever sits there for the code that the owner was mailed; without them, nobody."""
    if not sys.stdin.isatty():
        return None
    return lambda: str(typer.prompt("The code that the agent's owner was mailed", err=True))


class _Teller:
    """For people: one line for each step."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415

        self._console = Console()
        self._errors = Console(stderr=True)

    def step(self, step: Step) -> None:
        status = f"  ({step.status})" if step.status else ""
        self._print(f"  ✓ {step.text}{status}")

    def signed_in(self, site: SignedIn) -> None:
        from auth_agent.flow.exchange import HttpResponse  # noqa: PLC0415
        from auth_agent.sdk.exchange.html import excerpt  # noqa: PLC0415

        response = site.response
        found = HttpResponse(response.status_code, dict(response.headers), response.content)
        self._print(f"Signed in. {site.url} answers:", style="bold green")
        self._print(f"  {excerpt(found)}")

    def refused(self, error: AuthError) -> None:
        self._errors.print(
            f"Not signed in ({error.code}). {error.description}",
            style="red", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


class _JsonTeller:
    """For programs: one object on stdout, whatever happens."""

    def __init__(self, url: str, agent_id: str) -> None:
        self._story: dict[str, Any] = {"ok": False, "url": url, "agent_id": agent_id, "steps": []}

    def step(self, step: Step) -> None:
        import msgspec  # noqa: PLC0415

        self._story["steps"].append(msgspec.to_builtins(step))

    def signed_in(self, site: SignedIn) -> None:
        self._end(ok=True, url=site.url, status=site.response.status_code, body=_body(site))

    def refused(self, error: AuthError) -> None:
        self._end(error=error.code, error_description=error.description, status=error.status_code)

    def _end(self, **facts: Any) -> None:
        from auth_agent.cli.output import print_json  # noqa: PLC0415

        steps = self._story.pop("steps")
        print_json({**self._story, **facts, "steps": steps})


def _body(site: SignedIn) -> Any:
    """The page as JSON where it is, else the beginning of its text."""
    response = site.response
    if "json" in response.headers.get("content-type", "").lower():
        try:
            return response.json()
        except ValueError:
            pass
    return response.text[:MAX_BODY]
