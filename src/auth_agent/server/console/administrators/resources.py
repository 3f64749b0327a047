"""The console's page about known APIs, for which native clients may ask tokens."""

from __future__ import annotations

from auth_agent.server.console.visit import ConsoleVisit, not_found
from auth_agent.server.registry.resources import add_resource, list_resources, remove_resource
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.web.call import Answer

_FIELDS = ("url", "name", "scopes")


def resources_page(visit: ConsoleVisit) -> Answer:
    """GET /console/resources."""
    return _page(visit, {})


def add_known_resource(visit: ConsoleVisit) -> Answer:
    """POST /console/resources."""
    values = {name: visit.form.get(name, "").strip() for name in _FIELDS}
    try:
        add_resource(
            visit.context.database,
            values["url"],
            now=visit.now,
            name=values["name"],
            scopes=values["scopes"].split(),
        )
    except RegistrationError as error:
        text = str(error)
        return _page(visit, values, f"{text[:1].upper()}{text[1:]}.")
    return visit.go("/resources", done="added")


def remove_known_resource(visit: ConsoleVisit) -> Answer:
    """POST /console/resources/remove."""
    if not remove_resource(visit.context.database, visit.form.get("url", ""), visit.now):
        raise not_found("API")
    return visit.go("/resources", done="forgotten")


def _page(visit: ConsoleVisit, values: dict[str, str], problem: str = "") -> Answer:
    return visit.page(
        "console_resources.html",
        400 if problem else 200,
        resources=list_resources(visit.context.database),
        values={name: values.get(name, "") for name in _FIELDS},
        problem=problem,
    )
