"""Everything that this library raises.

AuthError                     code, description, status_code
├── SettingsError             the configuration is wrong: mend it, then start
├── SignInRefused             this callback does not end a sign-in of this browser: start again
├── TokenRefused              a token failed a check: it proves nothing
│   └── ProofRefused          a DPoP proof failed a check: send the token with a new one
├── SignatureRefused          a signed request failed a check: the signature proves nothing
│   └── SignatureIgnored      it is no signature for this website: as if there were none
├── ServerUnavailable         the Auth Agent server cannot be reached or fails: try again later
└── ServerMisbehaved          the server's answer violates the protocol: look at both ends

Every instance has a stable `code` for programs; its `description` is for people, names the
cause and the remedy, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Sequence


class AuthError(Exception):
    """The root of the tree; `code` is stable, `status_code` the HTTP status that fits."""

    default_code = "auth_error"
    default_status = 400

    def __init__(
        self, description: str, *, code: str | None = None, status_code: int | None = None
    ) -> None:
        super().__init__(description)
        self.description = description
        self.code = code or self.default_code
        self.status_code = status_code or self.default_status

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, description={self.description!r})"


class SettingsError(AuthError):
    """Lists every mistake of a configuration at once, each with its remedy."""

    default_code = "invalid_settings"
    default_status = 500

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        heading = f"{count} configuration error{'' if count == 1 else 's'}:"
        super().__init__("\n".join([heading, *(f"- {problem}" for problem in self.problems)]))


class SignInRefused(AuthError):
    """A sign-in could not be completed; the codes are in `website.sign_in.login`."""

    default_code = "sign_in_refused"


class TokenRefused(AuthError):
    """A token failed a check; the code names which."""

    default_code = "invalid_token"
    default_status = 401


class SignatureRefused(AuthError):
    """An HTTP message signature failed a check; the code names which."""

    default_code = "signature_invalid"
    default_status = 401


class SignatureIgnored(SignatureRefused):
    """A signature of an agent that the website does not list, or for another purpose."""


class ProofRefused(TokenRefused):
    """A proof (RFC 9449) failed a check; the code names which."""

    default_code = "proof_malformed"


class ServerUnavailable(AuthError):
    """No usable answer in time; `retry_after` is in seconds.

    `reason` is the network's error, for operators; no visitor sees it.
    """

    default_code = "server_unavailable"
    default_status = 503
    retry_after = 5

    def __init__(
        self,
        description: str,
        *,
        code: str | None = None,
        status_code: int | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(description, code=code, status_code=status_code)
        self.reason = reason


class ServerMisbehaved(AuthError):
    """An answer that the protocol forbids, or that was meant for another party."""

    default_code = "server_misbehaved"
    default_status = 502
