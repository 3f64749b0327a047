"""Refusals as HTML pages, with the cause and a link to continue."""

from __future__ import annotations

from typing import Any, NamedTuple

from auth_agent.server.web.call import Answer, Refusal, json_answer
from auth_agent.server.web.pages.render import Pages

_TITLES = {404: "Not found", 429: "Please wait", 503: "Not at present"}
_NOT_SERVED = {
    404: ("not_found", "Not found", "There is nothing at this address"),
    405: ("method_not_allowed", "Not possible", "This address does not support this method"),
}
_OTHERWISE = ("invalid_request", "Not possible", "The server cannot answer this request")


class WayOn(NamedTuple):
    """The link on a refusal's page."""

    path: str
    text: str


def page(
    pages: Pages, refusal: Refusal, way_on: WayOn | None = None, title: str | None = None
) -> Answer:
    """Returns a refusal as a page."""
    title = title or _TITLES.get(refusal.status, "This did not work")
    more: dict[str, Any] = {} if way_on is None else {"way_on": way_on}
    text = f"{refusal.description}."
    shown = pages.page("error.html", refusal.status, title=title, text=text, **more)
    return shown.with_headers(refusal.headers)


def sign_in_page(pages: Pages, refusal: Refusal) -> Answer:
    """Returns a refusal in the middle of a sign-in, which has to be restarted at the website."""
    if refusal.status in (429, 500, 503):
        return page(pages, refusal)
    text = f"{refusal.description}. Go back to the website and start again, or tell its owner."
    shown = pages.error("This sign-in cannot continue", text, refusal.status)
    return shown.with_headers(refusal.headers)


def not_served(pages: Pages, status: int, accept: str) -> Answer:
    """Returns a page for browsers, JSON for programs, if no route takes a request."""
    code, title, text = _NOT_SERVED.get(status, _OTHERWISE)
    if "text/html" in accept:
        return page(pages, Refusal(status, code, text), WayOn("/", "To the start page"), title)
    return json_answer({"error": code, "error_description": text}, status, ())
