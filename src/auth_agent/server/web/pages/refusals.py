"""Refusals as people read them: a page that names the cause and leads on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy.exc import OperationalError

from auth_agent.server.web.at_once import WouldWait, or_wait
from auth_agent.server.web.call import Answer, Call, Refusal
from auth_agent.server.web.pages.render import Pages

log = logging.getLogger("auth_agent.server")

_TITLES = {404: "Not found", 429: "Please wait", 503: "Not at present"}
_BUSY = Refusal(
    503,
    "temporarily_unavailable",
    "The server cannot reach its database; try again in a moment",
    (("retry-after", "5"),),
)
_BROKEN = Refusal(
    500, "server_error", "The server has made a mistake, which its log tells; try again later"
)


class HasPages(Protocol):
    """Whoever can show a page."""

    @property
    def pages(self) -> Pages: ...


C = TypeVar("C", bound=HasPages)


class WayOn(NamedTuple):
    """Where a page that says no leads to instead."""

    path: str
    text: str


def readable(handler: Callable[[C, Call], Answer]) -> Callable[[C, Call], Answer]:
    """The handler with a page for people even where the database is away, or we are wrong."""

    @functools.wraps(handler)
    def answer(context: C, call: Call) -> Answer:
        try:
            return handler(context, call)
        except Refusal as refusal:
            return refusal_page(context, refusal)
        except WouldWait:
            raise
        except OperationalError:
            or_wait()
            log.exception("database error at %s", handler.__name__)
            return refusal_page(context, _BUSY)
        except Exception:
            log.exception("unexpected error at %s", handler.__name__)
            return refusal_page(context, _BROKEN)

    return answer


def refusal_page(context: HasPages, refusal: Refusal, way_on: WayOn | None = None) -> Answer:
    """A refusal as people read it."""
    title = _TITLES.get(refusal.status, "This did not work")
    more: dict[str, Any] = {} if way_on is None else {"way_on": way_on}
    page = context.pages.page(
        "error.html", refusal.status, title=title, text=f"{refusal.description}.", **more
    )
    return Answer(page.status, page.body, page.headers + refusal.headers, page.content_type)
