"""The code of an approved sign-in: polled for, and carried to its website."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from auth_agent.errors import AuthError, ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, HttpResponse, json_object
from auth_agent.sdk.exchange.answers import POLL_SECONDS, check_origin, is_busy, retry_after
from auth_agent.sdk.sign_in.approval import ACCEPT, at, expired, refuse_agent
from auth_agent.sdk.text import one_line
from auth_agent.url import normal_origin, url_problem

OWNER_POLL_SECONDS = 1.0


class Code(msgspec.Struct, frozen=True):
    """The code of an approved sign-in, and the redirect URI that it goes to."""

    code: str
    state: str | None
    redirect_uri: str

    def __repr__(self) -> str:
        return f"Code({self.redirect_uri.partition('?')[0]})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("redirect_uri", self.redirect_uri.partition("?")[0])]


def poll_request(issuer: str, request_id: str) -> HttpRequest:
    query = urlencode({"request_id": request_id})
    return HttpRequest("GET", at(issuer, f"/api/check-status?{query}"), (ACCEPT,))


def parse_poll(response: HttpResponse, issuer: str, website: str) -> Code | float:
    """Returns the code, or the seconds until the next poll."""
    if is_busy(response):
        return retry_after(response)
    if response.status != 200:
        refuse_agent(response)
    check_origin(response)
    document = json_object(response, "status of the request")
    status = document.get("status")
    if status == "pending":
        return OWNER_POLL_SECONDS if document.get("waiting_for") == "owner" else POLL_SECONDS
    if status == "authenticated":
        return _code(document, issuer, website)
    if status == "error":
        raise _ended(document)
    raise AuthError(
        "Another browser has completed this sign-in, or the server's cookies did not get "
        "through. Start again, and let cookies through.",
        code="sign_in_failed",
    )


def callback_url(code: Code, issuer: str) -> str:
    """Returns the redirect URI, its own query kept (RFC 6749 4.1.2), with the issuer (RFC 9207)."""
    state = [] if code.state is None else [("state", code.state)]
    query = urlencode([("code", code.code), *state, ("iss", issuer)])
    uri = code.redirect_uri
    joint = "?" if "?" not in uri else "" if uri.endswith(("?", "&")) else "&"
    return f"{uri}{joint}{query}"


def redirect_error(url: str) -> str:
    """Returns the error that a redirect to a website carries (RFC 6749 4.1.2.1), or nothing."""
    found = dict(parse_qsl(urlsplit(url).query))
    parts = [found.get("error", ""), found.get("error_description", "")]
    return one_line(": ".join(part for part in parts if part)).rstrip(".")


def _code(document: dict[str, Any], issuer: str, website: str) -> Code:
    code, state, uri = (document.get(name) for name in ("code", "state", "redirect_uri"))
    if not isinstance(code, str) or not isinstance(uri, str) or not isinstance(state, str | None):
        raise ServerMisbehaved("The server approved the request without a usable code.")
    if document.get("iss", issuer) != issuer:  # RFC 9207 2.4
        raise ServerMisbehaved("The code comes from another issuer.", code="issuer_mismatch")
    if url_problem(uri, query=True) is not None or normal_origin(uri) != website:
        raise AuthError(
            f"The server wants to send the code to another address than {website}.",
            code="website_mismatch",
            status_code=409,
        )
    return Code(code, state, uri)


def _ended(document: dict[str, Any]) -> AuthError:
    if document.get("error") == "access_denied":
        text = "The sign-in was cancelled, or the agent's owner did not approve it."
        return AuthError(text, code="access_denied", status_code=403)
    if document.get("error") == "expired":
        text = "The agent's owner did not answer in time; start the sign-in again."
        return AuthError(text, code="owner_silent", status_code=403)
    return expired("The request has expired; start the sign-in again.")
