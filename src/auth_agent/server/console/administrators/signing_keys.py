"""The console's forms for the keys with which an agent signs its requests."""

from __future__ import annotations

from auth_agent.server.console.administrators.agents import agent_page_of
from auth_agent.server.console.visit import ConsoleVisit, not_found
from auth_agent.server.registry.request_keys import add_request_key, remove_request_key
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.web.call import Answer


def add_signing_key(visit: ConsoleVisit) -> Answer:
    """POST /console/agent/signing-keys: adds a public key (PEM or JWK)."""
    agent_id, text = visit.form.get("id", ""), visit.form.get("signing_key", "").strip()
    try:
        kid = add_request_key(visit.context.database, agent_id, text, visit.now)
    except RegistrationError as error:
        problem = str(error)
        return agent_page_of(visit, agent_id, f"{problem[:1].upper()}{problem[1:]}.")
    if kid is None:
        raise not_found("agent")
    return visit.go("/agent", id=agent_id, done="signing-key")


def remove_signing_key(visit: ConsoleVisit) -> Answer:
    """POST /console/agent/signing-keys/remove: removes a key for good."""
    agent_id, kid = visit.form.get("id", ""), visit.form.get("kid", "")
    if not remove_request_key(visit.context.database, agent_id, kid, visit.now):
        raise not_found("signing key")
    return visit.go("/agent", id=agent_id, done="signing-key-removed")
