"""Replies to a visit without a fitting agent: what is missing, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from auth_agent.errors import (
    AuthError,
    ServerUnavailable,
    SignatureIgnored,
    SignatureRefused,
    TokenRefused,
)
from auth_agent.flow.exchange import Headers
from auth_agent.url import safe_next
from auth_agent.website.config.settings import Settings
from auth_agent.website.policy.requirement import Refusal
from auth_agent.website.policy.scheme import (
    challenge_of,
    challenge_of_token,
    error_of,
    wanted_scopes,
)
from auth_agent.website.web.origin import is_navigation, is_preflight, own_referer, wants_page
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.replies import NO_STORE, Button, json_reply, page, redirect
from auth_agent.website.web.visit import Cookie, Visit

_READS = ("GET", "HEAD")


def challenge(
    visit: Visit,
    settings: Settings,
    *,
    refusal: Refusal | None = None,
    scopes: Sequence[str] = (),
    max_age: int | None = None,
    approved: bool = False,
) -> Reply:
    """Redirects a navigation to the sign-in; other requests get a 401 with the sign-in URL.

    The body of a POST would be lost on the way, so it is never redirected; afterwards the agent
    returns to the page that holds the form. `scopes` are all that the place needs,
    and the server gets `max_age` and `approved`, so that its answer is what the page needs.
    """
    if is_preflight(visit):  # permits nothing; a CORS middleware outside of the gate may
        return Reply(204, (NO_STORE,))
    if not settings.sign_in:
        return _demand_token(visit, settings, refusal, scopes)
    is_read = visit.method in _READS
    came_from = visit.target if is_read else own_referer(visit, settings.base_url)
    if refusal is not None:
        max_age, approved = refusal.max_age, refusal.acr_values is not None
    next_path = safe_next(came_from, prefix=settings.prefix)
    login = settings.login_path(next_path, max_age=max_age, approved=approved)
    if is_read and is_navigation(visit):
        return redirect(login)
    headers: Headers = (
        ("WWW-Authenticate", challenge_of(visit, settings, refusal, scopes)),
        ("Link", f'<{settings.base_url}{login}>; rel="login"'),
    )
    return _ask_to_sign_in(visit, settings, login, refusal, headers)


def _ask_to_sign_in(
    visit: Visit, settings: Settings, login: str, refusal: Refusal | None, headers: Headers
) -> Reply:
    """Returns the 401 of a website: a page with the button, or JSON with `login_url`."""
    description = refusal.description if refusal else "This needs a signed-in agent."
    if wants_page(visit):
        is_read = visit.method in _READS
        lost = (
            "" if is_read else " What you sent was not processed; send it again after signing in."
        )
        return page(
            401,
            "Sign in first",
            description + lost,
            code=refusal.code if refusal else "login_required",
            site=settings,
            button=Button(login, "Sign in with Auth Agent"),
            headers=headers,
        )
    content = {
        "error": refusal.code if refusal else "login_required",
        "error_description": (
            f"{description} Open login_url with your browser or HTTP client and follow its "
            "redirects to the issuer, where the agent authenticates; then repeat this request "
            "with the cookies that this website has set."
        ),
        "login_url": f"{settings.base_url}{login}",
        "issuer": settings.issuer,
    }
    return json_reply(401, content, headers=headers)


def _demand_token(
    visit: Visit, settings: Settings, refusal: Refusal | None, scopes: Sequence[str]
) -> Reply:
    """Returns the 401 of an API without browser sign-in; names the server that issues tokens."""
    description = refusal.description if refusal else "This needs an agent's access token."
    wanted = wanted_scopes(settings, scopes) if refusal is None else scopes
    content = {
        "error": refusal.code if refusal else "token_required",
        "error_description": f"{description} Get one for this resource from the issuer and send it "
        f"as {_HEADER[settings.dpop]}.",
        "issuer": settings.issuer,
        "resource": settings.expected_audience,
        **({"scope": " ".join(wanted)} if wanted else {}),
    }
    headers = (("WWW-Authenticate", challenge_of(visit, settings, refusal, scopes)),)
    return json_reply(401, content, headers=headers)


_HEADER = {
    "accept": "Authorization: Bearer, or DPoP if it is bound to a key",
    "require": "Authorization: DPoP, with a proof of the key that it is bound to",
}


def forbid(visit: Visit, settings: Settings, refusal: Refusal) -> Reply:
    """Returns 403 for a known agent; a missing scope adds a challenge (RFC 6750 3.1)."""
    if refusal.code == "insufficient_user_authentication":
        return challenge(visit, settings, refusal=refusal)
    headers: Headers = ()
    content = {"error": refusal.code, "error_description": refusal.description}
    if refusal.scope is not None:
        headers = (("WWW-Authenticate", challenge_of(visit, settings, refusal, ())),)
        content["scope"] = refusal.scope
    if wants_page(visit):
        return page(
            403,
            "This agent does not have access",
            refusal.description,
            code=refusal.code,
            site=settings,
            button=Button("/", "Back to the website"),
            headers=headers,
        )
    return json_reply(403, content, headers=headers)


def refuse(
    visit: Visit,
    settings: Settings,
    error: AuthError,
    *,
    next_path: str = "/",
    cookies: tuple[Cookie, ...] = (),
) -> Reply:
    """Returns the reply to a failed sign-in: the cause, and the URL to start again."""
    login = settings.login_path(next_path)
    headers: Headers = ()
    if isinstance(error, ServerUnavailable):
        headers = (("Retry-After", str(error.retry_after)),)
    if wants_page(visit):
        return page(
            error.status_code,
            "The sign-in did not work",
            error.description,
            code=error.code,
            note=error.code,
            site=settings,
            button=Button(login, "Start again"),
            headers=headers,
            cookies=cookies,
        )
    content = {
        "error": error.code,
        "error_description": error.description,
        "login_url": f"{settings.base_url}{login}",
        "issuer": settings.issuer,
    }
    return json_reply(error.status_code, content, headers=headers, cookies=cookies)


def reject(
    visit: Visit, settings: Settings, problem: AuthError, scopes: Sequence[str] = ()
) -> Reply:
    """Returns the reply to invalid credentials: 400, 401 (RFC 6750 3.1), 403 or 503."""
    if isinstance(problem, SignatureRefused):
        return _reject_signature(visit, settings, problem, scopes)
    if settings.sign_in and wants_page(visit):
        return refuse(visit, settings, problem)
    content = {"error": problem.code, "error_description": problem.description}
    headers: Headers = ()
    if isinstance(problem, ServerUnavailable):
        headers = (("Retry-After", str(problem.retry_after)),)
    elif isinstance(problem, TokenRefused):
        content["error"] = error_of(problem)
        content["cause"] = problem.code
        headers = (("WWW-Authenticate", challenge_of_token(visit, settings, problem, scopes)),)
    elif problem.status_code == 401:  # RFC 9110 15.5.2
        headers = (("WWW-Authenticate", challenge_of(visit, settings, None, scopes)),)
    return json_reply(problem.status_code, content, headers=headers)


def _reject_signature(
    visit: Visit, settings: Settings, problem: SignatureRefused, scopes: Sequence[str]
) -> Reply:
    """Returns 401 with the cause; a browser that signs everything can still sign in.

    No error stands in the challenge: that would be one of a token (RFC 6750 3.1).
    """
    is_read = visit.method in _READS
    may_sign_in = settings.sign_in and is_read and is_navigation(visit)
    if may_sign_in and isinstance(problem, SignatureIgnored):
        return challenge(visit, settings, scopes=scopes)
    content = {
        "error": "invalid_signature",
        "error_description": problem.description,
        "cause": problem.code,
        "issuer": settings.issuer,
    }
    headers: Headers = (("WWW-Authenticate", challenge_of(visit, settings, None, scopes)),)
    if not settings.sign_in:
        return json_reply(401, content, headers=headers)
    login = settings.login_path(safe_next(visit.target if is_read else "/", prefix=settings.prefix))
    if wants_page(visit):
        return page(
            401,
            "The signature is not accepted",
            problem.description,
            code=problem.code,
            note=problem.code,
            site=settings,
            button=Button(login, "Sign in with Auth Agent"),
            headers=headers,
        )
    content["login_url"] = f"{settings.base_url}{login}"
    headers = (*headers, ("Link", f'<{settings.base_url}{login}>; rel="login"'))
    return json_reply(401, content, headers=headers)
