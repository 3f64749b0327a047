"""A website's own rendering of the pages that the middleware shows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from auth_agent.secret import Discreet
from auth_agent.website.events import logger
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.visit import Visit

MAX_PAGE = 512 * 1024
MAX_LANGUAGE = 200

Render = Callable[["Page"], Any]


class Renders(Protocol):
    """A website's hooks, among them its own pages."""

    @property
    def render_page(self) -> Render | None: ...


class Page(Discreet, frozen=True, kw_only=True):
    """What a page of the middleware says, as plain text that a template has to escape.

    `code` is an error code, `sign_out` or `sign_in_offered`; `status` is the HTTP status. `action`
    is the text of the one button, which sends `method` to `url`. `language` is the visitor's
    `Accept-Language`. `request` is Django's request, the ASGI scope or the WSGI environ.
    """

    code: str
    status: int
    site: str
    title: str
    message: str
    action: str
    url: str
    method: Literal["get", "post"]
    language: str
    request: Any

    def __repr__(self) -> str:
        return f"Page({self.code}, {self.status})"


def check_renderer(render: Render | None) -> list[str]:
    """Returns what is wrong with a website's function, which is called inside of decisions."""
    if inspect.iscoroutinefunction(render):
        return ["render_page must be a plain function: it is called while a request is decided"]
    return []


def dressed(hooks: Renders, reply: Reply, visit: Visit) -> Reply:
    """Returns the reply with the website's page in place of the built-in one.

    Status and headers stay, except that the Content Security Policy allows what the website's
    templates need. If the function fails or returns None, visitors see the built-in page.
    """
    render, shown = hooks.render_page, reply.page
    if render is None or shown is None:
        return reply
    try:
        page = Page(
            code=shown.code,
            status=reply.status,
            site=shown.site,
            title=shown.title,
            message=shown.message,
            action=shown.action,
            url=shown.url,
            method=shown.method,
            language=(visit.header("accept-language") or "")[:MAX_LANGUAGE],
            request=visit.request,
        )
        body = _checked(render(page))
    except Exception:  # noqa: BLE001  # the website's own mistake, which its log shows
        logger.exception("render_page of this website has failed; the built-in page was shown.")
        return reply
    if body is None:
        return reply
    headers = tuple(
        (name, shown.policy if name == "Content-Security-Policy" else value)
        for name, value in reply.headers
    )
    return msgspec.structs.replace(reply, headers=headers, body=body)


def _checked(html: Any) -> bytes | None:
    if html is None:
        return None
    if not isinstance(html, str):
        if inspect.iscoroutine(html):
            html.close()
        raise TypeError(f"render_page has to return HTML as str, not {type(html).__name__}")
    body = html.encode()
    if len(body) > MAX_PAGE:
        raise ValueError(f"render_page has returned more than {MAX_PAGE} bytes")
    return body
