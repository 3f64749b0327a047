"""The console's pages about the past and the present: sign-ins, grants, audit."""

from __future__ import annotations

from auth_agent.server.console import grants, log
from auth_agent.server.console.exports import Columns, column, export, moment
from auth_agent.server.console.visit import ConsoleVisit, filters_of, pages_of
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Answer

_GRANT_FILTERS = ("agent", "website", "model")
SIGN_IN_FILTERS = ("agent", "website", "outcome", "address", "from", "to")
AUDIT_FILTERS = (
    *("kind", "outcome", "agent", "website", "actor", "address", "request", "from", "to"),
)
_SIGN_INS: Columns = {
    "time": moment("at"),
    "outcome": column("outcome"),
    **{name: column(name) for name in ("agent_id", "agent_name", "owner")},
    **{name: column(name) for name in ("client_id", "website", "request_id", "address")},
}
_GRANTS: Columns = {
    "since": moment("created_at"),
    **{name: column(name) for name in ("agent_id", "display_name", "email")},
    **{name: column(name) for name in ("client_id", "website", "scope", "audience", "model")},
    "valid_until": moment("refresh_expires_at"),
}
_AUDIT: Columns = {
    **{name: column(name) for name in ("id", "at")},
    "time": moment("at"),
    **{name: column(name) for name in ("kind", "outcome", "actor")},
    **{name: column(name) for name in ("agent_id", "client_id", "request_id", "address")},
}


def sign_ins_page(visit: ConsoleVisit) -> Answer:
    """GET /console/sign-ins: the agents' answers, and to which website."""
    filters = filters_of(visit.query, *SIGN_IN_FILTERS)
    with visit.context.database.read() as connection:
        rows = log.list_history(connection, filters, visit.page_number())
    found = pages_of(visit, "/console/sign-ins", rows, filters)
    return visit.page("console_sign_ins.html", **found)


def export_sign_ins(visit: ConsoleVisit) -> Answer:
    """GET /console/sign-ins/export.{csv,json}: the filtered sign-ins, with names."""
    filters = filters_of(visit.query, *SIGN_IN_FILTERS)
    batches = log.sign_in_batches(visit.context.database, filters)
    return export(visit, "sign-ins", _SIGN_INS, batches)


def grants_page(visit: ConsoleVisit) -> Answer:
    """GET /console/grants: sign-ins that are still valid."""
    filters = filters_of(visit.query, *_GRANT_FILTERS)
    with visit.context.database.read() as connection:
        rows = grants.list_grants(connection, visit.now, filters, visit.page_number())
    return visit.page("console_grants.html", **pages_of(visit, "/console/grants", rows, filters))


def export_grants(visit: ConsoleVisit) -> Answer:
    """GET /console/grants/export.{csv,json}: the filtered sign-ins that are still valid."""
    filters = filters_of(visit.query, *_GRANT_FILTERS)
    batches = grants.grant_batches(visit.context.database, visit.now, filters)
    return export(visit, "active-sign-ins", _GRANTS, batches)


def end_grant(visit: ConsoleVisit) -> Answer:
    """POST /console/grants/end; redirects to the page that has the button."""
    endings.end_grant(visit.context.database, visit.form.get("id", ""), visit.now)
    for name, path in (("agent", "/agent"), ("website", "/website")):
        if whose := visit.form.get(name):
            return visit.go(path, id=whose, done="ended")
    return visit.go("/grants", done="ended")


def audit_page(visit: ConsoleVisit) -> Answer:
    """GET /console/audit."""
    filters = filters_of(visit.query, *AUDIT_FILTERS)
    with visit.context.database.read() as connection:
        rows = log.list_audit(connection, filters, visit.page_number())
        kinds, outcomes = log.audit_words(connection)
    found = pages_of(visit, "/console/audit", rows, filters)
    return visit.page("console_audit.html", kinds=kinds, outcomes=outcomes, **found)


def export_audit(visit: ConsoleVisit) -> Answer:
    """GET /console/audit/export.{csv,json}: the filtered log."""
    filters = filters_of(visit.query, *AUDIT_FILTERS)
    return export(visit, "audit", _AUDIT, log.audit_batches(visit.context.database, filters))
