"""Authlib's extensions of the grants: PKCE and the ID token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc7636 import CodeChallenge

from .tokens import sign_id_token

if TYPE_CHECKING:
    from .grants import CodeGrant


# SHA-256 in base64url (RFC 7636 section 4.2).
_CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def check_challenge(challenge: str, method: str | None) -> None:
    """InvalidRequestError unless it is a PKCE challenge of the method S256."""
    if method != "S256" or not _CODE_CHALLENGE.fullmatch(challenge):
        raise InvalidRequestError("PKCE is required: send code_challenge and method S256")


class S256Challenge(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256 and nothing else, compulsory."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS = {"S256": CodeChallenge.CODE_CHALLENGE_METHODS["S256"]}  # noqa: RUF012

    def validate_code_challenge(self, grant: CodeGrant, _redirect_uri: Any) -> None:
        data = grant.request.payload.data
        check_challenge(data.get("code_challenge", ""), data.get("code_challenge_method"))


class IdTokenExtension:
    """Adds the ID token to an answer whose scope has `openid`."""

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_create_token_response", self.add)

    def add(self, grant: Any, response: tuple[int, dict[str, Any], Any]) -> None:
        token, issue = response[1], grant.request.issue
        if "openid" in token["scope"].split():
            token["id_token"] = sign_id_token(
                issue.key, issue, token["scope"], token["access_token"]
            )
