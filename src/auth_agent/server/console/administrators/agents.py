"""The console's pages about agents."""

from __future__ import annotations

import json
from typing import Any

from auth_agent.server.console import log
from auth_agent.server.console import queries as data
from auth_agent.server.console.exports import Columns, column, export, moment
from auth_agent.server.console.visit import PAGE_SIZE, ConsoleVisit, filters_of, not_found, pages_of
from auth_agent.server.console.visited import list_visited
from auth_agent.server.registry import agents
from auth_agent.server.registry.people import passkeys
from auth_agent.server.registry.people.browser_sessions import OWNER
from auth_agent.server.registry.request_keys import list_request_keys
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.registry.variables import agent_variables, as_lines
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Answer, Refusal
from auth_agent.server.web.urls import agent_url

_TEXTS = ("email", "name", "display_name", "model")
_CHECKS = ("require_origin", "dpop_bound")
_EDITED = (*_TEXTS, *_CHECKS, "scopes", "permissions", "public_key", "approval")
_FIELDS = ("verified", *_EDITED)
_FILTERS = ("q", "state")
_EXPORTED: Columns = {
    **{name: column(name) for name in ("id", "display_name", "email", "email_verified", "name")},
    **{name: column(name) for name in ("model", "scopes", "permissions", "approval")},
    "credential": lambda row: "key" if row.jwks else "secret",
    **{name: column(name) for name in ("second_factor", "require_origin", "dpop_bound")},
    "added": moment("created_at"),
    "disabled": moment("disabled_at"),
    "last_sign_in": moment("seen_at"),
}


def agents_page(visit: ConsoleVisit) -> Answer:
    """GET /console/agents."""
    filters = filters_of(visit.query, *_FILTERS)
    with visit.context.database.read() as connection:
        rows = data.list_agents(connection, filters, visit.page_number())
    return visit.page("console_agents.html", **pages_of(visit, "/console/agents", rows, filters))


def export_agents(visit: ConsoleVisit) -> Answer:
    """GET /console/agents/export.{csv,json}: the filtered agents, without their credentials."""
    filters = filters_of(visit.query, *_FILTERS)
    return export(visit, "agents", _EXPORTED, data.agent_batches(visit.context.database, filters))


def new_agent_page(visit: ConsoleVisit) -> Answer:
    """GET /console/agents/new."""
    return _new_agent(visit, {"verified": ""})


def add_agent(visit: ConsoleVisit) -> Answer:
    """POST /console/agents/new: shows the secret on the page that answers, and never again."""
    form = visit.form
    values = {name: form.get(name, "").strip() for name in _FIELDS}
    try:
        columns = _columns(values)
        made = agents.add_agent(
            visit.context.database,
            columns.pop("email"),
            verified=bool(values["verified"]),
            public_key=values["public_key"] or None,
            now=visit.now,
            **columns,
        )
    except RegistrationError as error:
        return _new_agent(visit, values, f"{error}.")
    secret, model = made.agent_secret.reveal(), values["model"]
    return _show_secret(visit, made.agent_id, secret, "Agent added", model=model)


def edit_agent_page(visit: ConsoleVisit) -> Answer:
    """GET /console/agent/edit?id=…."""
    row = _agent(visit, visit.query.get("id", ""))
    values = {name: getattr(row, name, "") or "" for name in _EDITED}
    return _edit_agent(visit, row, values)


def edit_agent(visit: ConsoleVisit) -> Answer:
    """POST /console/agent/edit: an empty public key leaves the agent's credential unchanged."""
    row = _agent(visit, visit.form.get("id", ""))
    values = {name: visit.form.get(name, "").strip() for name in _EDITED}
    changes = _columns(values)
    if values["public_key"]:
        changes["jwks"] = values["public_key"]
    try:
        agents.change_agent(visit.context.database, row.id, visit.now, **changes)
    except RegistrationError as error:
        return _edit_agent(visit, row, values, f"{error}.")
    return visit.go("/agent", id=row.id, done="saved")


def agent_page(visit: ConsoleVisit) -> Answer:
    """GET /console/agent?id=…: one agent, its present sign-ins, and the actions on it."""
    return agent_page_of(visit, visit.query.get("id", ""))


def agent_page_of(visit: ConsoleVisit, agent_id: str, problem: str = "") -> Answer:
    """Returns the page of one agent, with the problem of a form that was sent from it."""
    row = _agent(visit, agent_id)
    with visit.context.database.read() as connection:
        visited = list_visited(connection, [row], visit.now)
        history = log.list_history(connection, {"agent": row.id}, 1)
        signing_keys = list_request_keys(connection, row.id)
        owner_passkeys = passkeys.list_passkeys(connection, OWNER, row.email)
    return visit.page(
        "console_agent.html",
        400 if problem else 200,
        agent=row,
        visited=visited[:PAGE_SIZE],
        is_signed_in=any(each.valid for each in visited),
        history=history[:10],
        signing_keys=signing_keys,
        owner_passkeys=len(owner_passkeys),
        signature_agent=agent_url(visit.context.settings.issuer, row.id),
        problem=problem,
        can_mail=visit.context.outbox.can_reach(row.email),
    )


def disable_agent(visit: ConsoleVisit) -> Answer:
    """POST: disables the agent and ends its tokens and its sessions at websites."""
    row = _agent(visit, visit.form.get("id", ""))
    endings.disable_agent(visit.context.database, row.id, visit.now)
    return visit.go("/agent", id=row.id, done="disabled")


def enable_agent(visit: ConsoleVisit) -> Answer:
    row = _agent(visit, visit.form.get("id", ""))
    agents.enable_agent(visit.context.database, row.id, visit.now)
    return visit.go("/agent", id=row.id, done="enabled")


def vouch_for_agent(visit: ConsoleVisit) -> Answer:
    row = _agent(visit, visit.form.get("id", ""))
    agents.vouch_for_owner(visit.context.database, row.id, visit.now)
    return visit.go("/agent", id=row.id, done="vouched")


def remove_owners_passkeys(visit: ConsoleVisit) -> Answer:
    """POST: for an owner who has lost them; a mailed code adds a new one."""
    row = _agent(visit, visit.form.get("id", ""))
    passkeys.remove_owners_passkeys(visit.context.database, row.id, visit.now)
    return visit.go("/agent", id=row.id, done="owner-passkeys")


def switch_second_factor(visit: ConsoleVisit) -> Answer:
    """POST with or without `needed=yes`: turns the second factor on or off."""
    row = _agent(visit, visit.form.get("id", ""))
    needed = visit.form.get("needed") == "yes"
    if needed and not (row.email_verified and visit.context.outbox.can_reach(row.email)):
        raise Refusal(409, "invalid_request", "The owner cannot be sent mail, or is not verified")
    agents.set_second_factor(visit.context.database, row.id, visit.now, needed=needed)
    done = "second-factor-on" if needed else "second-factor-off"
    return visit.go("/agent", id=row.id, done=done)


def rotate_agent_secret(visit: ConsoleVisit) -> Answer:
    """POST: shows the new secret on the page that answers, and never again."""
    row = _agent(visit, visit.form.get("id", ""))
    secret = agents.rotate_agent_secret(visit.context.database, row.id, visit.now)
    if secret is None:
        raise Refusal(
            409,
            "invalid_request",
            "This agent has no secret: it is disabled, or it authenticates with a key",
        )
    return _show_secret(visit, row.id, secret.reveal(), "Secret replaced")


def end_agent_at_website(visit: ConsoleVisit) -> Answer:
    """POST: ends the agent's sign-ins at one website, and notifies it."""
    row = _agent(visit, visit.form.get("id", ""))
    website = visit.form.get("website", "")
    endings.end_at_website(visit.context.database, row.id, website, visit.now)
    return visit.go("/agent", id=row.id, done="ended-there")


def end_agent_grants(visit: ConsoleVisit) -> Answer:
    row = _agent(visit, visit.form.get("id", ""))
    endings.end_all_grants(visit.context.database, row.id, visit.now)
    return visit.go("/agent", id=row.id, done="all-ended")


def _agent(visit: ConsoleVisit, agent_id: str) -> Any:
    with visit.context.database.read() as connection:
        row = data.find_agent(connection, agent_id)
    if row is None:
        raise not_found("agent")
    return row


def _columns(values: dict[str, str]) -> dict[str, Any]:
    """Returns the columns of an agent as the form has them, its key excepted."""
    return {
        **{name: values[name] for name in _TEXTS},
        **{name: bool(values[name]) for name in _CHECKS},
        "scopes": values["scopes"].split() or None,
        "permissions": values["permissions"].split(),
        "approval": values["approval"] or None,
    }


def _new_agent(visit: ConsoleVisit, values: dict[str, str], problem: str = "") -> Answer:
    shown = {name: values.get(name, "") for name in _FIELDS}
    status = 400 if problem else 200
    return visit.page("console_agent_new.html", status, values=shown, problem=problem)


def _edit_agent(visit: ConsoleVisit, row: Any, values: dict[str, str], problem: str = "") -> Answer:
    status = 400 if problem else 200
    found = {"agent": row, "values": values, "problem": problem}
    return visit.page("console_agent_edit.html", status, **found)


def _show_secret(
    visit: ConsoleVisit, agent_id: str, secret: str, title: str, *, model: str = ""
) -> Answer:
    issuer = visit.context.settings.issuer
    variables = agent_variables(issuer, agent_id, model=model, secret=secret or None)
    return visit.page(
        "console_secret.html",
        title=title,
        back=f"/console/agent?id={agent_id}",
        section="agents",
        facts=[("Agent", agent_id), ("Secret", secret or "none: it authenticates with its key")],
        paste=[
            ("Its environment, for a .env file with mode 600", as_lines(variables)),
            ("Sign it in", "auth-agent login URL\n"),
            ("Give it to a model, as an MCP server", _mcp_server(variables)),
        ],
    )


def _mcp_server(variables: dict[str, str]) -> str:
    """Returns the entry of an MCP client's configuration file."""
    entry = {"command": "auth-agent", "args": ["mcp"], "env": variables}
    return json.dumps({"mcpServers": {"auth-agent": entry}}, indent=2) + "\n"
