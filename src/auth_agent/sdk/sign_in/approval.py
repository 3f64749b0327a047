"""The agent's exchanges with the server: look at a request, answer it, poll for the code."""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from auth_agent.errors import AuthError, ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, HttpResponse, json_object
from auth_agent.sdk.exchange.answers import (
    check_origin,
    error_code,
    refuse,
)
from auth_agent.sdk.exchange.html import excerpt
from auth_agent.sdk.flow.effects import Flow
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.identity.proof import prove
from auth_agent.sdk.text import one_line

ACCEPT = ("Accept", "application/json")
_CONTENT_TYPE = ("Content-Type", "application/json")
SECOND_FACTOR_SECONDS = 300.0
OWNER_SECONDS, MAX_OWNER_SECONDS = 600.0, 7_200.0
LONGEST_SCOPE = 2_000
_NOT_THE_CODE = ("invalid_request", "invalid_credentials")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A website's request for the agent's approval; `origin` is where the code will go."""

    client_name: str
    origin: str
    scopes: frozenset[str]
    resources: tuple[str, ...] = ()
    is_native: bool = False


def look_request(issuer: str, request_id: str) -> HttpRequest:
    return HttpRequest("GET", at(issuer, f"/api/auth-requests/{request_id}"), (ACCEPT,))


def parse_look(response: HttpResponse) -> Request:
    """Raises `request_expired` if nothing is left to answer."""
    if response.status != 200:
        refuse_agent(response)
    check_origin(response)
    document = json_object(response, "description of the request")
    if document.get("status", "pending") != "pending":
        raise expired("The request has been answered already; start the sign-in again.")
    origin, scope = document.get("redirect_origin"), document.get("scope")
    name = document.get("client_name")
    if not isinstance(origin, str) or not isinstance(scope, str):
        raise ServerMisbehaved(
            "The server does not say which website asks and what for, so nothing was approved.",
            code="request_unclear",
        )
    return Request(
        client_name=one_line(name) if isinstance(name, str) else one_line(origin),
        origin=one_line(origin),
        scopes=frozenset(one_line(word) for word in scope[:LONGEST_SCOPE].split()),
        resources=_resources(document),
        is_native=document.get("is_native") is True,
    )


def _resources(document: dict[str, Any]) -> tuple[str, ...]:
    """Returns the APIs beside the website itself; raises if they cannot be read."""
    found = document.get("resources", [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ServerMisbehaved(
            "The server does not say which APIs are asked for, so nothing was approved.",
            code="request_unclear",
        )
    return tuple(found)


def check_request(request: Request, website: str, allowed_scopes: frozenset[str] | None) -> None:
    """Raises if the request is another website's, or asks for more than the caller allows."""
    if request.origin != website:
        raise AuthError(
            f"The sign-in that {website} led to belongs to {request.origin}. Nothing was "
            "approved; if that is the website you mean, give its own URL.",
            code="website_mismatch",
            status_code=409,
        )
    if allowed_scopes is not None and not request.scopes <= allowed_scopes:
        more = one_line(" ".join(sorted(request.scopes - allowed_scopes)))
        raise AuthError(
            f"The website asks for the scope {more}, which is not among the allowed ones. "
            "Nothing was approved.",
            code="scope_not_allowed",
            status_code=403,
        )


def answer_url(issuer: str) -> str:
    return at(issuer, "/api/agent/authenticate")


def answer_request(
    issuer: str, request_id: str, website: str, options: Options
) -> Flow[HttpRequest]:
    """Always names the website that is meant, so that the server refuses any other one."""
    proof = yield from prove(options, issuer, request_id=request_id, origin=website)
    content = {
        "request_id": request_id,
        "agent_id": options.agent_id,
        **proof,
        "expected_origin": website,
        **_model(options),
    }
    return _post(answer_url(issuer), content)


def parse_answer(response: HttpResponse, who: str = "this agent") -> float | None:
    """Returns None once it is approved, or how many seconds the server waits for a second factor.

    Raises `invalid_credentials`, `request_expired` and the rest of the wire contract's 1.3.
    """
    if response.status != 200:
        refuse_agent(response, who)
    check_origin(response)
    document = json_object(response, "answer to the agent")
    if document.get("success") is not True:
        raise ServerMisbehaved("The server neither accepted nor refused the agent's answer.")
    if not document.get("requires_2fa"):
        return None
    seconds = document.get("expires_in")
    return float(seconds) if isinstance(seconds, int) else SECOND_FACTOR_SECONDS


def owner_seconds(response: HttpResponse) -> float | None:
    """Returns how long the server waits for the agent's owner; None if it asks no owner."""
    document = json_object(response, "answer to the agent")
    if document.get("status") != "owner_approval_pending":
        return None
    seconds = document.get("expires_in")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
        return OWNER_SECONDS
    return float(min(seconds, MAX_OWNER_SECONDS))


def second_factor_request(
    issuer: str, request_id: str, website: str, code: str, options: Options
) -> Flow[HttpRequest]:
    """Sends the agent's proof with the code, so that strangers use up none of its guesses."""
    proof = yield from prove(options, issuer, request_id=request_id, origin=website)
    known = {"request_id": request_id, "agent_id": options.agent_id, **proof}
    return _post(second_factor_url(issuer), {**known, "code": code, **_model(options)})


def second_factor_url(issuer: str) -> str:
    return at(issuer, "/api/agent/verify-2fa")


def parse_second_factor(response: HttpResponse) -> bool:
    """Checks whether the code was right."""
    if response.status in (400, 401, 403) and error_code(response) not in _NOT_THE_CODE:
        return False
    return parse_answer(response) is None


def _model(options: Options) -> dict[str, str]:
    return {} if options.model is None else {"model": options.model}


def _post(url: str, content: dict[str, str]) -> HttpRequest:
    return HttpRequest("POST", url, (_CONTENT_TYPE, ACCEPT), msgspec.json.encode(content))


def at(issuer: str, path: str) -> str:
    return issuer.rstrip("/") + path


def refuse_agent(response: HttpResponse, who: str = "this agent") -> NoReturn:
    """Raises the errors of the agent's endpoints."""
    check_origin(response)
    error = error_code(response)
    if response.status == 401:
        raise AuthError(
            f"The server does not accept {who}: unknown agent ID, or its secret or key is "
            "wrong or has been replaced, or the agent is disabled. `auth-agent agent list` on the "
            "server shows its agents; `auth-agent agent rotate-secret ID` makes a new secret.",
            code="invalid_credentials",
            status_code=401,
        )
    if error == "access_denied":
        text = "The agent's owner did not approve the sign-in."
        raise AuthError(text, code="access_denied", status_code=403)
    if error == "approval_unavailable":
        text = f"Nothing was approved: {excerpt(response)}"
        raise AuthError(text, code="owner_unavailable", status_code=403)
    if response.status == 404:
        raise expired("The request has expired; start the sign-in again.")
    if error in ("origin_mismatch", "website_mismatch"):
        raise AuthError(
            "The server says that the request belongs to another website; nothing was approved.",
            code="website_mismatch",
            status_code=409,
        )
    refuse(response, failure="sign_in_failed")


def check_model(response: HttpResponse, options: Options) -> None:
    """Raises `model_missing` if neither the agent nor its registration names a model."""
    is_refused = response.status == 400 and options.model is None
    if is_refused and "model" in excerpt(response).lower().split():
        raise AuthError(
            "No model was named: give one (`model=`, `--model NAME` or AUTH_AGENT_AGENT_MODEL), or "
            "register one with the agent: `auth-agent agent update ID --model NAME`.",
            code="model_missing",
        )


def expired(description: str) -> AuthError:
    return AuthError(description, code="request_expired", status_code=404)
