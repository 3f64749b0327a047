"""Administrators as programs, which send a token."""

from __future__ import annotations

from auth_agent.server.context import Context
from auth_agent.server.registry.people.admin_tokens import Administrator, find_admin
from auth_agent.server.web.call import Call, Refusal


def need_admin(context: Context, call: Call) -> Administrator:
    """Returns the administrator behind `Authorization: Bearer adm_...`; else Refusal 401."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    found = None
    if scheme.lower() == "bearer" and token.strip():
        found = find_admin(context.database, token.strip(), context.now())
    if found is None:
        context.record_refusal(kind="administration", outcome="refused", address=call.address)
        challenge = (("www-authenticate", f'Bearer realm="{context.settings.issuer}/admin"'),)
        raise Refusal(401, "invalid_token", "An administrator credential is required", challenge)
    return found
