"""The agent's exchanges with the server: look at a request, answer it, wait for the code."""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import urlencode

import msgspec

from auth_agent.errors import AuthError, ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, HttpResponse, json_object
from auth_agent.sdk.exchange.answers import (
    POLL_SECONDS,
    check_origin,
    error_code,
    is_busy,
    refuse,
    retry_after,
)
from auth_agent.sdk.flow.effects import Flow
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.identity.proof import prove
from auth_agent.url import normal_origin, url_problem

_ACCEPT = ("Accept", "application/json")
_CONTENT_TYPE = ("Content-Type", "application/json")
SECOND_FACTOR_SECONDS = 300.0
_NOT_THE_CODE = ("invalid_request", "invalid_credentials")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a website asks the agent to approve; `origin` is where the code will go."""

    client_name: str
    origin: str
    scopes: frozenset[str]


class Code(msgspec.Struct, frozen=True):
    """An approved sign-in's way back to its website."""

    code: str
    state: str | None
    redirect_uri: str

    def __repr__(self) -> str:
        return f"Code({self.redirect_uri.partition('?')[0]})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("redirect_uri", self.redirect_uri.partition("?")[0])]


def look_request(issuer: str, request_id: str) -> HttpRequest:
    return HttpRequest("GET", _at(issuer, f"/api/auth-requests/{request_id}"), (_ACCEPT,))


def parse_look(response: HttpResponse) -> Request:
    """Raises `request_expired` where there is nothing left to answer."""
    if response.status != 200:
        _refuse(response)
    check_origin(response)
    document = json_object(response, "description of the request")
    if document.get("status", "pending") != "pending":
        raise _expired("The request has been answered already; start the sign-in again.")
    origin, scope = document.get("redirect_origin"), document.get("scope")
    name = document.get("client_name")
    if not isinstance(origin, str) or not isinstance(scope, str):
        raise ServerMisbehaved(
            "The server does not say which website asks and what for, so nothing was approved.",
            code="request_unclear",
        )
    return Request(
        client_name=name if isinstance(name, str) else origin,
        origin=origin,
        scopes=frozenset(scope.split()),
    )


def check_request(request: Request, website: str, allowed_scopes: frozenset[str] | None) -> None:
    """Raises where the request is another website's, or asks for more than the caller gives."""
    if request.origin != website:
        raise AuthError(
            f"The sign-in that {website} led to belongs to {request.origin}. Nothing was "
            "approved; if that is the website you mean, give its own URL.",
            code="website_mismatch",
            status_code=409,
        )
    if allowed_scopes is not None and not request.scopes <= allowed_scopes:
        more = " ".join(sorted(request.scopes - allowed_scopes))
        raise AuthError(
            f"The website asks for the scope {more}, which is not among the allowed ones. "
            "Nothing was approved.",
            code="scope_not_allowed",
            status_code=403,
        )


def answer_url(issuer: str) -> str:
    return _at(issuer, "/api/agent/authenticate")


def answer_request(
    issuer: str, request_id: str, website: str, options: Options
) -> Flow[HttpRequest]:
    """Always says which website is meant, so that the server refuses any other one."""
    proof = yield from prove(options, issuer, request_id=request_id, origin=website)
    content = {
        "request_id": request_id,
        "agent_id": options.agent_id,
        **proof,
        "expected_origin": website,
        **_model(options),
    }
    return _post(answer_url(issuer), content)


def parse_answer(response: HttpResponse) -> float | None:
    """Nothing once it is approved, or for how many seconds a second factor is waited for.

    Raises `invalid_credentials`, `request_expired` and the rest of the wire contract's 1.3.
    """
    if response.status != 200:
        _refuse(response)
    check_origin(response)
    document = json_object(response, "answer to the agent")
    if document.get("success") is not True:
        raise ServerMisbehaved("The server neither took nor refused the agent's answer.")
    if not document.get("requires_2fa"):
        return None
    seconds = document.get("expires_in")
    return float(seconds) if isinstance(seconds, int) else SECOND_FACTOR_SECONDS


def second_factor_request(issuer: str, request_id: str, code: str, options: Options) -> HttpRequest:
    content = {"request_id": request_id, "code": code, **_model(options)}
    return _post(_at(issuer, "/api/agent/verify-2fa"), content)


def parse_second_factor(response: HttpResponse) -> bool:
    """Whether the code was right."""
    if response.status in (400, 401, 403) and error_code(response) not in _NOT_THE_CODE:
        return False
    return parse_answer(response) is None


def _model(options: Options) -> dict[str, str]:
    return {} if options.model is None else {"model": options.model}


def _post(url: str, content: dict[str, str]) -> HttpRequest:
    return HttpRequest("POST", url, (_CONTENT_TYPE, _ACCEPT), msgspec.json.encode(content))


def poll_request(issuer: str, request_id: str) -> HttpRequest:
    query = urlencode({"request_id": request_id})
    return HttpRequest("GET", _at(issuer, f"/api/check-status?{query}"), (_ACCEPT,))


def parse_poll(response: HttpResponse, issuer: str, website: str) -> Code | float:
    """The code, or the seconds until it is worth asking again."""
    if is_busy(response):
        return retry_after(response)
    if response.status != 200:
        _refuse(response)
    check_origin(response)
    document = json_object(response, "status of the request")
    status = document.get("status")
    if status == "pending":
        return POLL_SECONDS
    if status == "authenticated":
        return _code(document, issuer, website)
    if status == "error":
        raise _ended(document)
    raise AuthError(
        "The server gives the code to another browser than the one that started this sign-in; "
        "start again, and let cookies through.",
        code="sign_in_failed",
    )


def callback_url(code: Code, issuer: str) -> str:
    """The redirect URI with its own query kept (RFC 6749 4.1.2), and the issuer (RFC 9207)."""
    state = [] if code.state is None else [("state", code.state)]
    query = urlencode([("code", code.code), *state, ("iss", issuer)])
    uri = code.redirect_uri
    joint = "?" if "?" not in uri else "" if uri.endswith(("?", "&")) else "&"
    return f"{uri}{joint}{query}"


def _at(issuer: str, path: str) -> str:
    return issuer.rstrip("/") + path


def _code(document: dict[str, Any], issuer: str, website: str) -> Code:
    code, state, uri = (document.get(name) for name in ("code", "state", "redirect_uri"))
    if not isinstance(code, str) or not isinstance(uri, str) or not isinstance(state, str | None):
        raise ServerMisbehaved("The server approved the request without a usable code.")
    if document.get("iss", issuer) != issuer:  # RFC 9207 2.4
        raise ServerMisbehaved("The code comes from another issuer.", code="issuer_mismatch")
    if url_problem(uri, query=True) is not None or normal_origin(uri) != website:
        raise AuthError(
            f"The server wants to give the code to another address than {website}.",
            code="website_mismatch",
            status_code=409,
        )
    return Code(code, state, uri)


def _refuse(response: HttpResponse) -> NoReturn:
    """The error answers of the agent's endpoints."""
    check_origin(response)
    error = error_code(response)
    if response.status == 401:
        raise AuthError(
            "The server knows no such agent, or its secret or key is wrong or was replaced; check "
            "agent_id and agent_secret or private_key (`auth-agent agent list`).",
            code="invalid_credentials",
            status_code=401,
        )
    if response.status == 404:
        raise _expired("The request has expired; start the sign-in again.")
    if error in ("origin_mismatch", "website_mismatch"):
        raise AuthError(
            "The server says that the request belongs to another website; nothing was approved.",
            code="website_mismatch",
            status_code=409,
        )
    refuse(response, failure="sign_in_failed")


def _ended(document: dict[str, Any]) -> AuthError:
    if document.get("error") == "access_denied":
        return AuthError("The sign-in was cancelled.", code="access_denied", status_code=403)
    return _expired("The request has expired; start the sign-in again.")


def _expired(description: str) -> AuthError:
    return AuthError(description, code="request_expired", status_code=404)
