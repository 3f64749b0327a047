"""The console's pages about the past and the present: sign-ins, grants, keys, audit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from auth_agent.server.console import queries as data
from auth_agent.server.console.visit import ConsoleVisit, filters_of, not_found, pages_of
from auth_agent.server.security.keyring import list_keys, rotate_key
from auth_agent.server.storage.audit import record
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import NO_STORE, Answer

AUDIT_FILTERS = ("kind", "outcome", "agent", "website", "actor", "address", "from", "to")
AUDIT_COLUMNS = (
    *("id", "at", "kind", "outcome", "actor"),
    *("agent_id", "client_id", "request_id", "address"),
)
# A spreadsheet reads a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def overview(visit: ConsoleVisit) -> Answer:
    """GET /console."""
    with visit.context.database.read() as connection:
        numbers = data.counts(connection, visit.now)
        recent = data.list_audit(connection, {}, 1)[:8]
    settings = visit.context.settings
    warnings = []
    if not settings.is_https:
        warnings.append("This server speaks http: for development on this machine only.")
    if not visit.context.outbox.can_send:
        warnings.append("No mail is sent: set AUTH_AGENT_SERVER_SMTP_URL to let owners sign in.")
    return visit.page("console_overview.html", numbers=numbers, recent=recent, warnings=warnings)


def sign_ins_page(visit: ConsoleVisit) -> Answer:
    """GET /console/sign-ins: the agents' answers, and to which website."""
    filters = filters_of(visit.query, "agent", "website", "outcome", "address", "from", "to")
    with visit.context.database.read() as connection:
        rows = data.list_history(connection, filters, visit.page_number())
    found = pages_of(visit, "/console/sign-ins", rows, filters)
    return visit.page("console_sign_ins.html", **found)


def grants_page(visit: ConsoleVisit) -> Answer:
    """GET /console/grants: sign-ins that are still valid."""
    filters = filters_of(visit.query, "agent", "website")
    with visit.context.database.read() as connection:
        rows = data.list_grants(connection, visit.now, filters, visit.page_number())
    return visit.page("console_grants.html", **pages_of(visit, "/console/grants", rows, filters))


def end_grant(visit: ConsoleVisit) -> Answer:
    """POST /console/grants/end; redirects to the page that has the button."""
    endings.end_grant(visit.context.database, visit.form.get("id", ""), visit.now)
    for name, path in (("agent", "/agent"), ("website", "/website")):
        if whose := visit.form.get(name):
            return visit.go(path, id=whose, done="ended")
    return visit.go("/grants", done="ended")


def keys_page(visit: ConsoleVisit) -> Answer:
    """GET /console/keys."""
    visit.context.keyring.current()
    keys = list_keys(visit.context.database, visit.now)
    return visit.page("console_keys.html", keys=keys, now=visit.now)


def rotate_keys(visit: ConsoleVisit) -> Answer:
    """POST /console/keys/rotate."""
    rotate_key(visit.context.database, visit.context.keyring, visit.now)
    return visit.go("/keys", done="rotated")


def audit_page(visit: ConsoleVisit) -> Answer:
    """GET /console/audit."""
    filters = filters_of(visit.query, *AUDIT_FILTERS)
    with visit.context.database.read() as connection:
        rows = data.list_audit(connection, filters, visit.page_number())
        kinds, outcomes = data.audit_words(connection)
    found = pages_of(visit, "/console/audit", rows, filters)
    return visit.page("console_audit.html", kinds=kinds, outcomes=outcomes, **found)


def export_audit(visit: ConsoleVisit) -> Answer:
    """GET /console/audit/export.{csv,json}: the filtered log, at most a hundred thousand rows."""
    suffix = visit.call.path_params["suffix"]
    if suffix not in ("csv", "json"):
        raise not_found("page")
    filters = filters_of(visit.query, *AUDIT_FILTERS)
    with visit.context.database.begin() as connection:
        record(connection, at=visit.now, kind="audit", outcome=f"exported {suffix}")
    batches = data.audit_batches(visit.context.database, filters)
    chunks, content_type = (
        (_csv(batches), "text/csv; charset=utf-8")
        if suffix == "csv"
        else (_json(batches), "application/json")
    )
    disposition = ("content-disposition", f'attachment; filename="auth-agent-audit.{suffix}"')
    return Answer(200, b"", (*NO_STORE, disposition), content_type, chunks)


def _csv(batches: Iterator[list[Any]]) -> Iterator[bytes]:
    yield _lines([AUDIT_COLUMNS])
    for rows in batches:
        yield _lines([[_cell(getattr(row, name)) for name in AUDIT_COLUMNS] for row in rows])


def _json(batches: Iterator[list[Any]]) -> Iterator[bytes]:
    """Returns one array, with one object per line."""
    joint = "[\n"
    for rows in batches:
        objects = ({name: getattr(row, name) for name in AUDIT_COLUMNS} for row in rows)
        yield (joint + ",\n".join(json.dumps(each) for each in objects)).encode()
        joint = ",\n"
    yield b"[]\n" if joint == "[\n" else b"\n]\n"


def _lines(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    """Keeps a value from becoming a formula; names in the log come from outside."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
