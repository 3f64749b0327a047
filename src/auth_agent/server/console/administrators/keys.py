"""The console's page about keys: those that sign tokens, agents' own, and programs' tokens."""

from __future__ import annotations

from auth_agent.server.console import queries as data
from auth_agent.server.console.visit import ConsoleVisit, not_found, pages_of
from auth_agent.server.registry.people.admin_tokens import list_admin_tokens, revoke_admin
from auth_agent.server.security.keys.keyring import list_keys, rotate_key
from auth_agent.server.web.call import Answer


def keys_page(visit: ConsoleVisit) -> Answer:
    """GET /console/keys."""
    snapshot = visit.context.keyring.current()
    keys = list_keys(visit.context.database, visit.now)
    signers = [snapshot.find_signer(visit.now, name) for name in snapshot.algorithms()]
    with visit.context.database.read() as connection:
        agents_keys = data.list_agents_keys(connection, visit.page_number())
        tokens = list_admin_tokens(connection, visit.now)
    return visit.page(
        "console_keys.html",
        keys=keys,
        now=visit.now,
        signing={key.kid for key in signers if key is not None},
        unopened=snapshot.unopened,
        tokens=tokens,
        **pages_of(visit, "/console/keys", agents_keys, {}),
    )


def rotate_keys(visit: ConsoleVisit) -> Answer:
    """POST /console/keys/rotate."""
    rotate_key(visit.context.database, visit.context.keyring, visit.now)
    return visit.go("/keys", done="rotated")


def revoke_token(visit: ConsoleVisit) -> Answer:
    """POST /console/keys/revoke-token: ends a program's administration token."""
    if not revoke_admin(visit.context.database, visit.form.get("id", ""), visit.now):
        raise not_found("token")
    return visit.go("/keys", done="token-revoked")
