"""Checks of signed requests: which agents are listed, and whether their keys can be fetched."""

from __future__ import annotations

from auth_agent.doctor.finding import Finding, note, ok, plain, warning
from auth_agent.errors import AuthError
from auth_agent.flow.effects import Flow
from auth_agent.flow.exchange import is_trouble
from auth_agent.flow.fetching.refusals import FetchRefused
from auth_agent.protocol.signatures.agents import SignatureAgent, read_agent
from auth_agent.protocol.signatures.directory import fetch_directory, parse_directory
from auth_agent.website.config.settings import Settings

MOST_FETCHED = 10


def examine_signatures(settings: Settings) -> Flow[list[Finding]]:
    """Fetches the key directories of agents that are listed by their full names."""
    if not settings.signatures:
        return []
    found = []
    if "*" in settings.signatures:
        found.append(
            warning(
                "signatures.anybody",
                "AUTH_AGENT_SIGNATURES contains *: anyone who owns a domain can be an agent here.",
                "List the signature agents that you know, or restrict places with "
                "Requirement(via=…).",
            )
        )
    if settings.store_url is None or not settings.sign_in:
        found.append(
            note(
                "signatures.nonces",
                "Each worker process remembers on its own which signed requests it has seen: in "
                "the first minute, a copy of a request that changes something could be accepted "
                "once by each other process.",
                "If that matters, set AUTH_AGENT_SESSION_STORE=redis://…, or run one process.",
            )
        )
    named = [one for one in settings.signatures if "*" not in one and one != "issuer"]
    for name in named[:MOST_FETCHED]:
        agent = read_agent(name, loopback_allowed=not settings.secure)
        found.append((yield from _examine_directory(agent, settings)))
    return found


def _examine_directory(agent: SignatureAgent, settings: Settings) -> Flow[Finding]:
    remedy = (
        "Its requests are answered with 503 until its keys can be fetched: ask its operator, and "
        "let this machine connect to it over https without a proxy."
    )
    try:
        response = yield from fetch_directory(agent, loopback_allowed=not settings.secure)
        if is_trouble(response):
            return _unavailable(agent, f"answers {response.status}", remedy)
        keys = parse_directory(response, agent).keys
    except FetchRefused as refused:
        return _unavailable(agent, f"cannot be fetched ({plain(refused)})", remedy)
    except AuthError:
        return _unavailable(agent, "answers with something other than a key set", remedy)
    if not keys:
        return _unavailable(agent, "contains no usable key", remedy)
    return ok("signatures.directory", f"{agent.name} publishes its keys: {len(keys)}.")


def _unavailable(agent: SignatureAgent, what: str, remedy: str) -> Finding:
    message = f"The key directory {plain(agent.address)} of a listed agent {what}."
    return warning("signatures.directory", message, remedy)
