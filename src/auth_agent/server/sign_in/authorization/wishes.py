"""What a request asks of the agent's owner (RFC 9396, RFC 9470, OpenID Connect Core 3.1.2.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

from auth_agent.protocol.details import OWNER, BadDetails, canonical, read_details
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.parameters import Parameters

_SECONDS = re.compile(r"[0-9]{1,10}")


class Wishes(NamedTuple):
    """The columns of a sign-in: the acts (JSON), and whether the sign-in itself needs the owner."""

    act: str | None = None
    needs_owner: bool = False


def read_wishes(parameters: Parameters, types: Collection[str]) -> Wishes:
    """Returns the wishes of a request; Refusal 400 if one of them is malformed.

    An agent proves itself again for each request, which meets every `max_age` and `prompt=login`.
    """
    max_age = parameters.get("max_age")
    if max_age is not None and not _SECONDS.fullmatch(max_age):
        raise Refusal(400, "invalid_request", "max_age has to be a number of seconds")
    act = acceptable_details(parameters.get("authorization_details"), types)
    strong = OWNER in parameters.get("acr_values", "").split()
    return Wishes(act, strong or "consent" in parameters.get("prompt", "").split())


def acceptable_details(text: str | None, types: Collection[str]) -> str | None:
    """Returns the details in their one writing; Refusal 400 unless all of them are acceptable.

    With `types` every other type is refused.
    """
    if text is None:
        return None
    try:
        details = read_details(text)
    except BadDetails as error:
        raise bad_details(error) from None
    if types and any(act["type"] not in types for act in details):
        raise bad_details(f"This server knows the types {', '.join(types)}")
    return canonical(details)


def bad_details(problem: object) -> Refusal:
    return Refusal(400, "invalid_authorization_details", str(problem))


def told(sign_in: Any) -> dict[str, Any]:
    """Returns the wishes as JSON for the agent that looks at a request."""
    found: dict[str, Any] = {"needs_owner": True} if sign_in.needs_owner or sign_in.act else {}
    if sign_in.act:
        found["authorization_details"] = json.loads(sign_in.act)
    return found
