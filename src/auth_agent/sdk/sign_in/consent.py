"""The agent's part of a sign-in: it reads the request, answers it, and waits for the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from auth_agent.errors import AuthError
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk.exchange.journey import Journey, readable
from auth_agent.sdk.exchange.retry import send_with_retries
from auth_agent.sdk.flow.effects import Flow, invoke, now, report
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.identity.proof import check_clock
from auth_agent.sdk.sign_in import approval
from auth_agent.sdk.sign_in.code import Code, parse_poll, poll_request
from auth_agent.sdk.text import one_line

MAX_CODES = 3  # the server takes five


class SignInOptions(NamedTuple):
    """The caller's options for one sign-in; `second_factor` returns the mailed code."""

    allowed_scopes: frozenset[str] | None = None
    second_factor: Callable[[], Any] | None = None
    follow_form: bool = False


NO_OPTIONS = SignInOptions()


class _Asked(NamedTuple):
    """One request: the server that waits, its id there, and the website that is meant."""

    issuer: str
    request_id: str
    website: str


def answer(
    issuer: str,
    request_id: str,
    website: str | None,
    options: Options,
    journey: Journey,
    *,
    wanted: SignInOptions = NO_OPTIONS,
) -> Flow[approval.Request]:
    """Reads a waiting request, and approves it if it is the expected one.

    Without a `website` any website that the options allow is approved; the caller has to show it.
    """
    look = approval.look_request(issuer, request_id)
    response = yield from send_with_retries(journey, look)
    request = approval.parse_look(readable(response))
    website = request.origin if website is None else website
    approval.check_request(request, website, wanted.allowed_scopes)
    options.check_website(request.origin)
    options.check_scopes(request.scopes)
    options.check_resources(request.resources, native=request.is_native)
    scopes = " ".join([*sorted(request.scopes), *map(one_line, request.resources)])
    text = f"the request is {website}'s own ({request.client_name}) and asks for: {scopes}"
    yield from report("request_checked", text, look.url, response.status)
    response = yield from send_with_retries(
        journey, lambda: approval.answer_request(issuer, request_id, website, options)
    )
    response = readable(response)
    approval.check_model(response, options)
    if response.status == 401 and options.private_key is not None:
        yield from check_clock(response, issuer)
    who = f"{options.agent_id} at {issuer}"
    if approval.parse_answer(response, who) is not None:
        asked = _Asked(issuer, request_id, website)
        response = yield from _second_factor(asked, options, journey, wanted)
    text = f"{options.agent_id} proved itself to {issuer}, for {website} only"
    yield from report("agent_proved", text, approval.answer_url(issuer), response.status)
    yield from _allow_for_owner(response, issuer, journey)
    return request


def _allow_for_owner(response: HttpResponse, issuer: str, journey: Journey) -> Flow[None]:
    """Stops the journey's clock while the owner has time to answer, if the owner was asked."""
    waits = approval.owner_seconds(response)
    if waits is not None:
        journey.pause(waits)
        text = f"the owner was asked to approve this, and has {waits / 60:.0f} minutes to answer"
        yield from report("owner_asked", text, approval.answer_url(issuer), response.status)


def await_code(issuer: str, request_id: str, website: str, journey: Journey) -> Flow[Code]:
    """Returns the code; polls as the waiting page does."""
    poll = poll_request(issuer, request_id)
    while True:
        response = yield from journey.send(poll)
        found = parse_poll(readable(response), issuer, website)
        if isinstance(found, Code):
            text = "only the browser that started the sign-in got the code"
            yield from report("code_received", text, poll.url, response.status)
            return found
        yield from journey.rest(found)


def _second_factor(
    asked: _Asked, options: Options, journey: Journey, wanted: SignInOptions
) -> Flow[HttpResponse]:
    """Sends the code from the owner's mail; asks again while it is wrong and another one comes."""
    if wanted.second_factor is None:
        raise AuthError(
            "This agent's owner has switched on a second factor: the server has mailed a code "
            "to the owner. Pass a function that returns this code to sign_in, as second_factor.",
            code="two_factor_required",
            status_code=403,
        )
    tried: set[str] = set()
    while len(tried) < MAX_CODES:
        asked_at = yield from now()
        code = str((yield from invoke(wanted.second_factor))).strip()
        journey.pause((yield from now()) - asked_at)
        if not code or code in tried:
            break
        tried.add(code)
        url = approval.second_factor_url(asked.issuer)
        yield from report("second_factor_asked", "the owner's code is given", url)
        verify = yield from approval.second_factor_request(*asked, code, options)
        response = yield from journey.send(verify)
        if approval.parse_second_factor(readable(response)):
            return response
    raise AuthError(
        "The code of the second factor is wrong or has expired; start the sign-in again.",
        code="invalid_code",
        status_code=401,
    )
