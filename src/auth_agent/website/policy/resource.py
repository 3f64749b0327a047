"""Protected resource metadata (RFC 9728): which server issues the tokens for this website.

It is public: every origin may read it, and a preflight is granted what it asks for.
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import urlsplit

import msgspec

from auth_agent.flow.exchange import Headers
from auth_agent.protocol.dpop.proof import ADVERTISED
from auth_agent.website.config.settings import Settings
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.replies import json_reply
from auth_agent.website.web.visit import Visit

WELL_KNOWN = "/.well-known/oauth-protected-resource"
METHODS = "GET, HEAD, OPTIONS"

# RFC 9110 5.6.2; a preflight that asks for anything else is granted no header.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELD_NAMES = re.compile(rf"{_TOKEN}(?:[ \t]*,[ \t]*{_TOKEN})*")
_MAX_FIELD_NAMES = 1_024


def metadata_paths(settings: Settings) -> tuple[str, ...]:
    """Returns every path that answers with the metadata; challenges point to the first one.

    The root, the audience's path inserted (3.1), and for a website below a path (a prefix such as
    `/shop/auth-agent`) the place below it, because no other request reaches that website.
    """
    place = posixpath.dirname(settings.prefix)
    path = urlsplit(settings.expected_audience).path
    found = [f"{place}{WELL_KNOWN}"] if place != "/" else []
    if path not in ("", "/"):
        found += [WELL_KNOWN + path, WELL_KNOWN + path.rstrip("/")]
    return tuple(dict.fromkeys([*found, WELL_KNOWN]))


def metadata_url(settings: Settings) -> str:
    """Returns the `resource_metadata` of a challenge (RFC 9728 5.1)."""
    return settings.base_url + metadata_paths(settings)[0]


def answer_metadata(visit: Visit, settings: Settings) -> Reply:
    """Answers one of `metadata_paths`."""
    if visit.method in ("GET", "HEAD"):
        return _metadata(settings)
    if visit.method == "OPTIONS":
        return _grant(visit)
    content = {"error": "method_not_allowed", "error_description": f"Use {METHODS}."}
    return json_reply(405, content, headers=(("Allow", METHODS), *_ANY_ORIGIN))


_ANY_ORIGIN: Headers = (("Access-Control-Allow-Origin", "*"),)


def _metadata(settings: Settings) -> Reply:
    """Returns the document of RFC 9728 2."""
    content: dict[str, object] = {
        "resource": settings.expected_audience,
        "authorization_servers": [settings.issuer],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(ADVERTISED),
    }
    if settings.dpop == "require":
        content["dpop_bound_access_tokens_required"] = True
    if settings.api_scopes:
        content["scopes_supported"] = list(settings.api_scopes)
    headers = (
        ("Content-Type", "application/json"),
        ("Cache-Control", "public, max-age=3600"),
        *_ANY_ORIGIN,
    )
    return Reply(200, headers, msgspec.json.encode(content))


def _grant(visit: Visit) -> Reply:
    """Allows the headers that were asked for, and never credentials."""
    headers = [("Allow", METHODS), *_ANY_ORIGIN, ("Access-Control-Allow-Methods", METHODS)]
    asked = visit.header("access-control-request-headers") or ""
    if len(asked) <= _MAX_FIELD_NAMES and _FIELD_NAMES.fullmatch(asked):
        headers.append(("Access-Control-Allow-Headers", asked))
    headers += [
        ("Access-Control-Max-Age", "3600"),
        ("Vary", "Access-Control-Request-Headers"),
        ("Cache-Control", "public, max-age=3600"),
    ]
    return Reply(200, tuple(headers))
