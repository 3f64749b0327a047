"""The console's pages about websites."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from auth_agent.server.console import queries as data
from auth_agent.server.console.exports import Columns, column, export, moment
from auth_agent.server.console.grants import list_grants
from auth_agent.server.console.visit import ConsoleVisit, filters_of, not_found, pages_of
from auth_agent.server.registry import clients
from auth_agent.server.registry.resources import resource_scopes
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.registry.variables import as_lines, website_variables
from auth_agent.server.settings import ALGORITHMS
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Answer, Refusal
from auth_agent.server.web.parameters import Parameters

_LISTS = ("redirect_uris", "resources", "post_logout_redirect_uris")
_CHECKS = ("backchannel_logout_session_required", "strict_audience", "dpop_bound")
_KEYS = ("jwks", "jwks_uri")
_FIELDS = (
    *("name", "scopes", "backchannel_logout_uri", "id_token_alg", "public"),
    *(*_LISTS, *_CHECKS, *_KEYS),
)
_FILTERS = ("q", "state")
_LATEST = 10  # sign-ins on the page of one website
_EXPORTED: Columns = {
    **{name: column(name) for name in ("id", "name", "redirect_uris", "scopes", "resources")},
    "credential": column("auth_method"),
    **{name: column(name) for name in ("backchannel_logout_uri", "id_token_alg", "dpop_bound")},
    "origin": column("origin"),
    "added": moment("created_at"),
    "last_sign_in": moment("seen_at"),
}


def websites_page(visit: ConsoleVisit) -> Answer:
    """GET /console/websites."""
    filters = filters_of(visit.query, *_FILTERS)
    with visit.context.database.read() as connection:
        rows = data.list_websites(connection, filters, visit.page_number())
    found = pages_of(visit, "/console/websites", rows, filters)
    return visit.page("console_websites.html", **found)


def export_websites(visit: ConsoleVisit) -> Answer:
    """GET /console/websites/export.{csv,json}: the filtered websites, without their secrets."""
    filters = filters_of(visit.query, *_FILTERS)
    batches = data.website_batches(visit.context.database, filters)
    return export(visit, "websites", _EXPORTED, batches)


def new_website_page(visit: ConsoleVisit) -> Answer:
    """GET /console/websites/new."""
    return _new_website(visit, {"scopes": " ".join(visit.context.settings.scopes)})


def add_website(visit: ConsoleVisit) -> Answer:
    """POST /console/websites/new: shows the secret on the page that answers, and never again."""
    values = _values(visit.form)
    try:
        columns = {**_columns(visit, values), **_keys(values)}
        name, redirect_uris = columns.pop("name"), columns.pop("redirect_uris")
        made = clients.add_client(
            visit.context.database,
            name,
            redirect_uris,
            public=bool(values["public"]),
            now=visit.now,
            **columns,
        )
    except RegistrationError as error:
        return _new_website(visit, values, _sentence(error))
    if made.client_secret is None:
        return visit.go("/website", id=made.client_id, done="added")
    secret = made.client_secret.reveal()
    variables = website_variables(
        visit.context.settings.issuer,
        made.client_id,
        secret,
        values["redirect_uris"].split()[0],
        values["scopes"],
    )
    return _show_secret(visit, made.client_id, secret, "Website added", as_lines(variables))


def website_page(visit: ConsoleVisit) -> Answer:
    """GET /console/website?id=…."""
    row = _website(visit, visit.query.get("id", ""))
    values = {name: getattr(row, name, "") or "" for name in _FIELDS}
    values |= {name: "\n".join(values[name].split()) for name in _LISTS}
    return _one_website(visit, row, {**values, "jwks": ""})


def edit_website(visit: ConsoleVisit) -> Answer:
    """POST /console/website."""
    row, values = _website(visit, visit.form.get("id", "")), _values(visit.form)
    try:
        changes = {**_columns(visit, values), **_new_keys(row, values)}
        clients.change_client(visit.context.database, row.id, visit.now, **changes)
    except RegistrationError as error:
        return _one_website(visit, row, values, _sentence(error))
    return visit.go("/website", id=row.id, done="saved")


def rotate_website_secret(visit: ConsoleVisit) -> Answer:
    """POST: shows the new secret on the page that answers, and never again."""
    row = _website(visit, visit.form.get("id", ""))
    secret = clients.rotate_client_secret(visit.context.database, row.id, visit.now)
    if secret is None:
        raise Refusal(409, "invalid_request", "This website has no secret")
    return _show_secret(visit, row.id, secret.reveal(), "Secret replaced")


def remove_website(visit: ConsoleVisit) -> Answer:
    """POST: removes the website and ends all its tokens."""
    row = _website(visit, visit.form.get("id", ""))
    endings.remove_client(visit.context.database, row.id, visit.now)
    return visit.go("/websites", done="removed")


def _website(visit: ConsoleVisit, client_id: str) -> Any:
    with visit.context.database.read() as connection:
        row = data.find_website(connection, client_id)
    if row is None:
        raise not_found("website")
    return row


def _values(form: Parameters) -> dict[str, str]:
    return {name: form.get(name, "").strip() for name in _FIELDS}


def _columns(visit: ConsoleVisit, values: dict[str, str]) -> dict[str, Any]:
    """Returns the columns of a website as the form has them, its keys excepted."""
    return {
        "name": values["name"],
        "scopes": _scopes(visit, values),
        "backchannel_logout_uri": values["backchannel_logout_uri"] or None,
        "id_token_alg": values["id_token_alg"] or None,
        **{name: values[name].split() for name in _LISTS},
        **{name: bool(values[name]) for name in _CHECKS},
    }


def _keys(values: dict[str, str]) -> dict[str, str]:
    """Returns the new keys; an empty field leaves the website's credential as it is."""
    keys = {name: values[name] for name in _KEYS if values[name]}
    if len(keys) > 1:
        raise RegistrationError("give the public keys or their URL, not both")
    return keys


def _new_keys(row: Any, values: dict[str, str]) -> dict[str, str]:
    """Returns the keys that the website does not have yet."""
    keys = {name: key for name, key in _keys(values).items() if key != getattr(row, name)}
    if keys and row.auth_method == "none":
        raise RegistrationError("a public client has no keys")
    return keys


def _scopes(visit: ConsoleVisit, values: dict[str, str]) -> list[str]:
    scopes = values["scopes"].split()
    with visit.context.database.read() as connection:
        known = {*visit.context.settings.scopes, *resource_scopes(connection)}
    if unknown := sorted(set(scopes) - known):
        raise RegistrationError(
            f"the scope {unknown[0]!r} is not known here; add it to AUTH_AGENT_SERVER_SCOPES first"
        )
    return scopes


def _new_website(visit: ConsoleVisit, values: dict[str, str], problem: str = "") -> Answer:
    shown = {name: values.get(name, "") for name in _FIELDS}
    status = 400 if problem else 200
    return visit.page(
        "console_website_new.html", status, values=shown, problem=problem, algorithms=ALGORITHMS
    )


def _one_website(
    visit: ConsoleVisit, row: Any, values: dict[str, str], problem: str = ""
) -> Answer:
    with visit.context.database.read() as connection:
        grants = list_grants(connection, visit.now, {"website": row.id}, 1)
    return visit.page(
        "console_website.html",
        400 if problem else 200,
        website=row,
        values=values,
        problem=problem,
        algorithms=ALGORITHMS,
        grants=grants[:_LATEST],
    )


def _show_secret(
    visit: ConsoleVisit, client_id: str, secret: str, title: str, lines: str = ""
) -> Answer:
    return visit.page(
        "console_secret.html",
        title=title,
        back=f"/console/website?id={quote(client_id, safe='')}",
        section="websites",
        facts=[("Client id", client_id), ("Client secret", secret)],
        paste=[("The website's environment, for a .env file", lines)] if lines else [],
    )


def _sentence(error: RegistrationError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
