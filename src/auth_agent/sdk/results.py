"""The results of the SDK's methods: frozen, typed, and complete.

Unknown fields of an answer are kept in `extra`. Tokens, verifiers and signatures are plain
strings; no repr shows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from auth_agent.errors import ServerMisbehaved

R = TypeVar("R", bound="Result")

HIDDEN = "**********"
DEFAULT_SECONDS = 300  # RFC 6749 5.1: expires_in is only recommended


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The root of the results; `extra` holds the fields that have no attribute of their own."""

    extra: dict[str, Any] = {}

    hidden: ClassVar[frozenset[str]] = frozenset()

    def _shown(self) -> Iterator[tuple[str, Any]]:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "extra":
                value = sorted(value)
            yield name, HIDDEN if name in self.hidden and value else value

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._shown() if value != [])
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self._shown())

    def to_dict(self) -> dict[str, Any]:
        """Returns everything, secrets included, as values for JSON; unknown fields stand beside."""
        known = {name: getattr(self, name) for name in self.__struct_fields__ if name != "extra"}
        return {**self.extra, **{name: value for name, value in known.items() if value is not None}}


class TokenResponse(Result, frozen=True, kw_only=True):
    """Tokens; `expires_in` is in seconds from when they were issued."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int = DEFAULT_SECONDS
    refresh_token: str | None = None
    id_token: str | None = None
    scope: str = ""

    hidden = frozenset({"access_token", "refresh_token", "id_token"})

    @property
    def authorization_details(self) -> list[dict[str, Any]]:
        """Returns the acts that the agent's owner has approved (RFC 9396)."""
        found = self.extra.get("authorization_details")
        return found if isinstance(found, list) else []


class AuthorizationUrl(Result, frozen=True, kw_only=True):
    """The URL for the browser; keep `code_verifier` and `state` until its callback comes."""

    url: str
    code_verifier: str
    state: str

    hidden = frozenset({"url", "code_verifier", "state"})


class AgentRegistrationResponse(Result, frozen=True, kw_only=True):
    success: bool
    agent_id: str
    message: str = ""


class AgentAuthResponse(Result, frozen=True, kw_only=True):
    """An open request; `challenge_url` belongs to the first browser that opens it.

    `state` and `code_verifier` are arguments of `exchange_code`; the verifier is None if the
    caller gave a challenge of its own. `expires_in` is in seconds.
    """

    session_id: str
    challenge_url: str
    expires_in: int
    next_step: str = ""
    state: str | None = None
    code_verifier: str | None = None

    hidden = frozenset({"challenge_url", "state", "code_verifier"})


class AgentProfile(Result, frozen=True, kw_only=True):
    """Times are as the server writes them (ISO 8601)."""

    agent_id: str
    model_name: str = ""
    owner_name: str | None = None
    owner_email: str | None = None
    owner_email_verified: bool | None = None
    permissions: tuple[str, ...] = ()
    disabled: bool = False
    created_at: str | int | None = None
    updated_at: str | int | None = None


class UserInfo(Result, frozen=True, kw_only=True):
    """OpenID Connect Core 5.3; e-mail and name come only with the scopes `email` and `profile`."""

    sub: str
    agent_id: str = ""
    name: str | None = None
    email: str | None = None
    email_verified: bool | None = None
    model_name: str = ""
    permissions: tuple[str, ...] = ()


class ChallengeResponse(Result, frozen=True, kw_only=True):
    """`expires` is in seconds since 1970; `message` explains a missing challenge."""

    ok: bool
    challenge: str | None = None
    expires: int | None = None
    sig: str | None = None
    verify_ctx_id: str | None = None
    message: str | None = None

    hidden = frozenset({"sig"})


class VerifyStatus(Result, frozen=True, kw_only=True):
    """The state of a verification; `pending` is the challenge that the agent has not answered."""

    ok: bool
    verified: bool = False
    verified_at: str | int | None = None
    pending: Any = None

    hidden = frozenset({"pending"})


class IntrospectionResponse(Result, frozen=True, kw_only=True):
    """RFC 7662 2.2; times are in seconds since 1970."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    username: str | None = None
    token_type: str | None = None
    exp: int | None = None
    iat: int | None = None
    sub: str | None = None


def read(kind: type[R], document: Mapping[str, Any]) -> R:
    """Makes a result of a server's answer; raises `ServerMisbehaved` if it does not fit."""
    names = set(kind.__struct_fields__) - {"extra"}
    known = {name: value for name, value in document.items() if name in names}
    absent = {name for name, value in known.items() if value is None}
    try:
        found = msgspec.convert({k: v for k, v in known.items() if k not in absent}, kind)
    except msgspec.ValidationError as error:  # names the field, never its value
        raise ServerMisbehaved(
            f"The Auth Agent server's answer is no {kind.__name__}: {error}.",
            code="answer_malformed",
        ) from None
    extra = {name: value for name, value in document.items() if name not in names}
    return msgspec.structs.replace(found, extra=extra)
