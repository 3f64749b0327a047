"""Checks of the session store: its kind, and whether it accepts writes."""

from __future__ import annotations

from urllib.parse import urlsplit

from auth_agent.doctor.finding import Finding, failure, in_words, note, ok, plain
from auth_agent.errors import AuthError
from auth_agent.flow.effects import Flow, ask
from auth_agent.protocol.jose.base64url import encode
from auth_agent.website.config.site import Site


def examine_sessions(site: Site) -> Flow[Finding]:
    """Writes one key that expires a second later: a replica answers, too, but refuses writes."""
    url = site.settings.store_url
    if url is None:
        return note(
            "sessions.in_cookies",
            "Sessions are kept in cookies: no database is needed, but only the agent can end a "
            "session at once; the server's back-channel logout has no effect.",
            "If that matters, set AUTH_AGENT_SESSION_STORE=redis://…",
        )
    key = f"auth_agent:doctor:{encode(site.random(9))}"
    try:
        yield from ask(url, ("SET", key, 1, "EX", 1))
    except (AuthError, ValueError) as error:
        if isinstance(error, AuthError) and error.code == "store_unsupported":
            return failure(
                "sessions.cluster",
                f"The session store {_shown(url)} is a Redis cluster, which is not supported.",
                "Set AUTH_AGENT_SESSION_STORE to a Redis that is not a cluster; a replica that "
                "takes over behind one address is fine.",
            )
        why = in_words(error) if isinstance(error, AuthError) else "AUTH_AGENT_SESSION_STORE is odd"
        return failure(
            "sessions.unavailable",
            f"The session store {_shown(url)} cannot be used: {why}.",
            "Start Redis, or correct host, port, user and password in AUTH_AGENT_SESSION_STORE. "
            "While it is unreachable no agent can sign in.",
        )
    return ok("sessions.store", f"Sessions are kept at {_shown(url)}, which can be written to.")


def _shown(url: str) -> str:
    """Returns the URL without user and password."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "in AUTH_AGENT_SESSION_STORE"
    return plain(f"{parts.scheme}://{parts.hostname or ''}{port}")
