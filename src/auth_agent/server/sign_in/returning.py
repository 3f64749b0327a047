"""The ways back to the website: the browser is redirected with a code or with an error."""

from __future__ import annotations

from typing import Any

from auth_agent.server.context import Context
from auth_agent.server.web.call import Answer, redirect
from auth_agent.server.web.urls import with_parameters


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
