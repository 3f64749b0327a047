"""The link in the mail about a first sign-in: it shows the website, and a button ends it.

The link is in the owner's mail and can only end, so that it needs no signing in.
"""

from __future__ import annotations

from typing import Any

from auth_agent.server.approval.websites import find_by_link
from auth_agent.server.bounds import DAY
from auth_agent.server.console.queries import find_agent
from auth_agent.server.console.sessions import form_token, known_mark, read_form, visitor_mark
from auth_agent.server.context import Context
from auth_agent.server.storage.audit import acting
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Answer, Call, Refusal
from auth_agent.server.web.parameters import from_query

GOOD_FOR = 30 * DAY
_OVER = Refusal(
    410,
    "invalid_request",
    "This link has expired or is not valid; sign in to end your agents' sign-ins",
)


def end_page(context: Context, call: Call) -> Answer:
    """GET /owner/end?token=…: ends nothing."""
    token = from_query(call.query).get("token", "")
    return _page(context, call, _website(context, token), token, ended=None)


def end(context: Context, call: Call) -> Answer:
    """POST /owner/end: ends the agent's sign-ins at this website."""
    form = read_form(context, call, known_mark(context, call))
    token = form.get("token", "")
    website = _website(context, token)
    this = (website.agent_id, website.client_id, context.now())
    api = website.origin if _is_own_call(website) else None
    with acting("owner by mailed link", call.address):
        ended = endings.end_at_website(context.database, *this, api=api)
    return _page(context, call, website, token, ended=ended)


def _page(context: Context, call: Call, website: Any, token: str, *, ended: int | None) -> Answer:
    mark, cookie = visitor_mark(context, call)
    with context.database.read() as connection:
        agent = find_agent(connection, website.agent_id)
    page = context.pages.page(
        "console_owner_end.html",
        form_token=form_token(mark),
        website=website,
        agent_name=agent.display_name if agent is not None else "",
        is_own_call=_is_own_call(website),
        token=token,
        ended=ended,
    )
    return page.with_headers(cookie)


def _is_own_call(website: Any) -> bool:
    """Returns True for an API that the agent calls by itself, without a website's sign-in."""
    return bool(website.client_id == website.agent_id)


def _website(context: Context, token: str) -> Any:
    with context.database.read() as connection:
        found = find_by_link(connection, token)
    if found is None or found.first_at + GOOD_FOR < context.now():
        raise _OVER
    return found
