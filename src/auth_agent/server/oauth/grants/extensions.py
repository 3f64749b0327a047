"""Authlib's extensions of the grants: PKCE and the ID token."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc7636 import CodeChallenge

from auth_agent.server.tokens.signed import sign_id_token


class S256Verifier(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256 and nothing else, compulsory."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS = {"S256": CodeChallenge.CODE_CHALLENGE_METHODS["S256"]}  # noqa: RUF012

    def __call__(self, grant: Any) -> None:
        """Hooks into the token endpoint alone; `/authorize` has checked the challenge."""
        grant.register_hook("after_validate_token_request", self.validate_code_verifier)


class IdTokenExtension:
    """Adds the ID token to an answer whose scope has `openid`."""

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_create_token_response", self.add)

    def add(self, grant: Any, response: tuple[int, dict[str, Any], Any]) -> None:
        token, issue = response[1], grant.request.issue
        if "openid" in token["scope"].split():
            token["id_token"] = sign_id_token(
                grant.id_token_key, issue, token["scope"], token["access_token"]
            )
