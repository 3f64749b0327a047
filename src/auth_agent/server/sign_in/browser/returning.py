"""The ways back to the website: the browser is redirected with a code or with an error."""

from __future__ import annotations

from typing import Any

from auth_agent.server.context import Context
from auth_agent.server.sign_in.state import is_trusted
from auth_agent.server.web.call import Answer, redirect
from auth_agent.server.web.urls import with_parameters

ENDINGS = ("denied", "expired")
_CANCELLED = ("access_denied", "The sign-in was cancelled in the browser")
_DENIED_BY = {"owner": ("access_denied", "The agent's owner did not approve the sign-in")}
_EXPIRED = ("request_expired", "The request has expired; start again")
_UNANSWERED = ("expired", "The agent's owner did not answer in time")


def success_url(context: Context, row: Any, code: str) -> str:
    """Returns the redirect URI with the code (RFC 6749 section 4.1.2, RFC 9207 section 2)."""
    state = [] if row.state is None else [("state", row.state)]
    parameters = [("code", code), *state, ("iss", context.settings.issuer)]
    return with_parameters(row.redirect_uri, parameters)


def error_redirect(
    context: Context, redirect_uri: str, error: str, description: str, state: str | None
) -> Answer:
    """Returns an error to the website (RFC 6749 section 4.1.2.1, RFC 9207 section 2)."""
    return redirect(error_url(context, redirect_uri, error, description, state))


def error_url(
    context: Context, redirect_uri: str, error: str, description: str, state: str | None
) -> str:
    """Returns the redirect URI with an error."""
    parameters = [("error", error), ("error_description", description)]
    if state is not None:
        parameters.append(("state", state))
    parameters.append(("iss", context.settings.issuer))
    return with_parameters(redirect_uri, parameters)


def onward(context: Context, row: Any) -> str:
    return f"{context.settings.path}/authorize/continue?request_id={row.id}"


def ending(row: Any, status: str) -> tuple[str, str]:
    """Returns error and text of a sign-in that was denied or has expired."""
    if status == "denied":
        return _DENIED_BY.get(row.denied_by, _CANCELLED)
    return _UNANSWERED if row.question_id is not None else _EXPIRED


def ended(context: Context, row: Any, status: str) -> Answer:
    """Sends the browser back to the website with what ended the sign-in."""
    error, text = ending(row, status)
    if not is_trusted(row):
        title = "Sign-in ended" if row.denied_by else "Sign-in cancelled"
        return context.pages.error(title, f"{text}. You can close this page.", 403)
    return error_redirect(context, row.redirect_uri, error, text, row.state)
