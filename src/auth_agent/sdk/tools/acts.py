"""Acts that a website wants the agent's owner to approve, as its refusal lists them."""

from __future__ import annotations

import json
import re
from typing import Any

from auth_agent.errors import AuthError
from auth_agent.flow.exchange import HttpResponse
from auth_agent.protocol.details import BadDetails, read_details
from auth_agent.protocol.jose.base64url import decode
from auth_agent.sdk.text import one_line

_REMEDIATION = re.compile(r'authorization_remediation="?([A-Za-z0-9_-]{1,16384})')

Acts = list[dict[str, Any]]


def demanded(response: HttpResponse) -> Acts:
    """Returns the acts of a refusal (draft-ietf-oauth-rar-metadata-remediation); else none."""
    challenge = response.headers.get("www-authenticate", "")
    found = _REMEDIATION.search(challenge)
    if response.status != 401 or found is None or "insufficient_authorization" not in challenge:
        return []
    try:
        details = json.loads(decode(found[1]))["authorization_details"]
        return read_details(json.dumps(details))
    except (BadDetails, ValueError, KeyError, TypeError, RecursionError):
        return []


def owner_needed(website: str, acts: Acts) -> AuthError:
    title = one_line(acts[0]["title"], 200)
    return AuthError(
        f"Your owner has to approve this at {one_line(website)}: {title}. Call ask_owner, and "
        "repeat it with fetch once it is approved.",
        code="owner_needed",
        status_code=401,
    )


def nothing_to_ask(website: str) -> AuthError:
    return AuthError(
        f"{one_line(website)} has not asked for the owner's approval of anything: call fetch "
        "first.",
        code="nothing_to_ask",
    )
