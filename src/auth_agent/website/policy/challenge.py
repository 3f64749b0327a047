"""What a visit without a fitting agent is told, so that a person or an agent knows what to do."""

from __future__ import annotations

from collections.abc import Mapping

from auth_agent.errors import AuthError, ServerUnavailable, TokenRefused
from auth_agent.flow.exchange import Headers
from auth_agent.url import safe_next
from auth_agent.website.config.settings import Settings
from auth_agent.website.policy.requirement import Refusal
from auth_agent.website.policy.resource import metadata_url
from auth_agent.website.web.origin import is_navigation, own_referer
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.replies import json_reply, link, page, redirect
from auth_agent.website.web.visit import Cookie, Visit


def challenge(visit: Visit, settings: Settings, *, refusal: Refusal | None = None) -> Reply:
    """Redirects a navigation to the login; everybody else gets a 401 that names the door.

    The body of a POST would be lost on the way, so it is never redirected; afterwards the agent
    returns to the page that holds the form.
    """
    is_read = visit.method in ("GET", "HEAD")
    came_from = visit.target if is_read else own_referer(visit, settings.base_url)
    login = settings.login_path(safe_next(came_from, prefix=settings.prefix))
    if is_read and is_navigation(visit):
        return redirect(login)
    headers: Headers = (
        ("WWW-Authenticate", _bearer(settings, refusal)),
        ("Link", f'<{settings.base_url}{login}>; rel="login"'),
    )
    description = refusal.description if refusal else "This needs a signed-in agent."
    if is_navigation(visit):
        return page(
            401,
            "Sign in first",
            f"{description} What you sent was not taken; send it again after signing in.",
            action=link(login, "Sign in with Auth Agent"),
            headers=headers,
        )
    content = {
        "error": refusal.code if refusal else "login_required",
        "error_description": f"{description} Open login_url with your browser or HTTP client and "
        "follow it to the issuer, where the agent proves itself; then repeat this request with "
        "the cookies that you were given.",
        "login_url": f"{settings.base_url}{login}",
        "issuer": settings.issuer,
    }
    return json_reply(401, content, headers=headers)


def forbid(visit: Visit, settings: Settings, refusal: Refusal) -> Reply:
    """403 for an agent that is known and may not; lacking scope has a challenge (RFC 6750 3.1)."""
    if refusal.code == "insufficient_user_authentication":
        return challenge(visit, settings, refusal=refusal)
    headers: Headers = ()
    content = {"error": refusal.code, "error_description": refusal.description}
    if refusal.scope is not None:
        headers = (("WWW-Authenticate", _bearer(settings, refusal)),)
        content["scope"] = refusal.scope
    if is_navigation(visit):
        return page(
            403,
            "Not for this agent",
            refusal.description,
            action=link("/", "Back to the website"),
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
    """A sign-in that failed: the cause, and where to start again."""
    login = settings.login_path(next_path)
    headers: Headers = ()
    if isinstance(error, ServerUnavailable):
        headers = (("Retry-After", str(error.retry_after)),)
    if is_navigation(visit):
        return page(
            error.status_code,
            "The sign-in did not work",
            error.description,
            note=error.code,
            action=link(login, "Start again"),
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


def reject(visit: Visit, settings: Settings, problem: AuthError) -> Reply:
    """For credentials that are worth nothing: 400, 401 (RFC 6750 3.1), 403 or 503."""
    if is_navigation(visit):
        return refuse(visit, settings, problem)
    content = {"error": problem.code, "error_description": problem.description}
    headers: Headers = ()
    if isinstance(problem, ServerUnavailable):
        headers = (("Retry-After", str(problem.retry_after)),)
    elif isinstance(problem, TokenRefused):
        content["error"] = "invalid_request" if problem.status_code == 400 else "invalid_token"
        content["cause"] = problem.code
        values = {"error": content["error"], "error_description": problem.description}
        headers = (("WWW-Authenticate", _challenge(settings, values)),)
    return json_reply(problem.status_code, content, headers=headers)


def _bearer(settings: Settings, refusal: Refusal | None) -> str:
    """RFC 6750 3.1: no error code where no token was sent."""
    if refusal is None:
        return _challenge(settings, {})
    values = {"error": refusal.code, "error_description": refusal.description}
    return _challenge(settings, {**values, **({"scope": refusal.scope} if refusal.scope else {})})


def _challenge(settings: Settings, values: Mapping[str, str]) -> str:
    """RFC 9728 5.1 adds where to learn which server to go to."""
    parts = {**values, "resource_metadata": metadata_url(settings)}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())
