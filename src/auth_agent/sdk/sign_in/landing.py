"""The page that a sign-in ends on, and whether the website took the agent in."""

from __future__ import annotations

from typing import NamedTuple

from auth_agent.errors import AuthError
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk.exchange.html import excerpt
from auth_agent.sdk.flow.effects import Flow, report

REFUSALS = (401, 403)


class Landing(NamedTuple):
    """The page that a journey ended on."""

    url: str
    response: HttpResponse
    is_callback: bool = False  # nothing came after the redirect URI


def check_landing(landing: Landing, website: str) -> None:
    """Raises if the website refused the agent.

    The callback's own answer says whether it took the sign-in; the page behind it says so only
    with 401 or 403: a website that has no such page has signed the agent in all the same.
    """
    status = landing.response.status
    if status in REFUSALS or (landing.is_callback and status >= 400):
        raise failed(
            f"{website} did not accept the sign-in ({status}): {excerpt(landing.response)}"
        )


def report_landing(landing: Landing, website: str) -> Flow[None]:
    status = landing.response.status
    remark = f"; the page that it leads to answers {status}" if status >= 400 else ""
    yield from report("signed_in", f"signed in to {website}{remark}", landing.url, status)


def failed(description: str) -> AuthError:
    return AuthError(description, code="sign_in_failed")
