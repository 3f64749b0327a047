"""The agent's own endpoints of the server: registration, profile, events, verification.

The paths are those of the wire contract, section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from auth_agent.errors import SettingsError
from auth_agent.flow.exchange import Headers, HttpRequest
from auth_agent.sdk.calls.oauth import at
from auth_agent.sdk.exchange.answers import token_expired
from auth_agent.sdk.identity.options import Options

LONGEST_RESULT = 2_000
_ACCEPT = ("Accept", "application/json")
_JSON: Headers = (("Content-Type", "application/json"), _ACCEPT)


def register_request(
    options: Options, content: Mapping[str, str], registration_token: str | None
) -> HttpRequest:
    headers = () if registration_token is None else _bearer(registration_token)
    return _post(at(options, "/api/register-agent"), content, headers)


def agent_auth_request(options: Options, content: Mapping[str, str]) -> HttpRequest:
    return _post(at(options, "/api/agent-auth"), content)


def profile_request(options: Options, access_token: str | None) -> HttpRequest:
    return HttpRequest("GET", at(options, "/api/agents/profile"), _reader(access_token))


def update_profile_request(
    options: Options, access_token: str | None, changes: Mapping[str, str | None]
) -> HttpRequest:
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        raise SettingsError(
            [("update_agent_profile has nothing to change: give owner_name or model_name")]
        )
    url = at(options, "/api/agents/profile")
    return HttpRequest("PUT", url, (*_bearer(access_token), *_JSON), msgspec.json.encode(given))


def user_info_request(options: Options, access_token: str | None) -> HttpRequest:
    return HttpRequest("GET", at(options, "/userinfo"), _reader(access_token))


def event_request(
    options: Options, access_token: str | None, content: Mapping[str, Any]
) -> HttpRequest:
    given = {name: value for name, value in content.items() if value is not None}
    return _post(at(options, "/api/events"), given, _bearer(access_token))


def challenge_request(
    options: Options, access_token: str | None, verify_ctx_id: str | None = None
) -> HttpRequest:
    content = {} if verify_ctx_id is None else {"verify_ctx_id": verify_ctx_id}
    return _post(at(options, "/api/verify/challenge"), content, _bearer(access_token))


def confirm_request(
    options: Options,
    access_token: str | None,
    challenge: Mapping[str, Any],
    expected_origin: str | None = None,
) -> HttpRequest:
    names = ("challenge", "expires", "sig", "verify_ctx_id")
    content = {name: challenge.get(name) for name in names}
    if missing := [name for name, value in content.items() if value is None]:
        raise SettingsError([f"the challenge lacks {', '.join(missing)}; request one first"])
    if expected_origin is not None:
        content["expected_origin"] = expected_origin
    return _post(at(options, "/api/verify/confirm"), content, _bearer(access_token))


def status_request(
    options: Options, access_token: str | None, verify_ctx_id: str | None = None
) -> HttpRequest:
    query = "" if verify_ctx_id is None else f"?verify_ctx_id={quote(verify_ctx_id, safe='')}"
    url = at(options, f"/api/verify/status{query}")
    return HttpRequest("GET", url, _reader(access_token))


def _post(url: str, content: Mapping[str, Any], headers: Headers = ()) -> HttpRequest:
    return HttpRequest("POST", url, (*headers, *_JSON), msgspec.json.encode(content))


def _bearer(access_token: str | None) -> Headers:
    """Returns the header of RFC 6750 2.1; raises `token_expired` without a token."""
    if not access_token or not access_token.isascii() or not access_token.isprintable():
        raise token_expired("There is no access token: sign in, or refresh the tokens.")
    return (("Authorization", f"Bearer {access_token}"),)


def _reader(access_token: str | None) -> Headers:
    return (*_bearer(access_token), _ACCEPT)
