"""What an agent tells its SDK: frozen, and checked at birth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from auth_agent.errors import SettingsError
from auth_agent.protocol.jose.private_key import key_problem
from auth_agent.secret import Secret
from auth_agent.url import url_problem

TIMEOUT = 10.0
DEADLINE = 30.0
LONGEST_MODEL = 200


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`timeout` bounds each request, `deadline` a call with its repetitions, both in seconds.

    Raises `SettingsError` with all mistakes.
    """

    agent_id: str
    agent_secret: Secret | None = None
    server_url: str
    private_key: Secret | None = None
    model: str | None = None
    allowed_issuers: tuple[str, ...] = ()
    timeout: float = TIMEOUT
    deadline: float = DEADLINE

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise SettingsError(problems)

    @property
    def issuers(self) -> tuple[str, ...]:
        """The servers that may see the agent's secret, and no others."""
        return self.allowed_issuers or (self.server_url,)

    def check_credential(self) -> None:
        """Raises `SettingsError` where the agent has neither a key nor a secret."""
        if not self.private_key and not self.agent_secret:
            raise SettingsError(
                [
                    "agent_secret is missing: give what `auth-agent agent add` printed, or a "
                    "private_key whose public half was registered"
                ]
            )


def read_key(given: Secret | str | Path | None) -> Secret | None:
    """A PEM text as it is, or the file at a path; raises `SettingsError`."""
    text = given.reveal() if isinstance(given, Secret) else given
    if text is None or text == "":
        return None
    if isinstance(text, str) and "-----BEGIN" in text:
        return Secret(text)
    try:
        return Secret(Path(text).read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise SettingsError(
            ["private_key is neither a PEM private key nor the path of a readable one"]
        ) from None


def _problems(options: Options) -> Iterator[str]:
    if not options.agent_id:
        yield "agent_id is missing: register the agent with `auth-agent agent add`"
    if not options.server_url:
        yield (
            "server_url is missing: give the URL of your Auth Agent server, e.g. "
            "https://auth.example; there is no default, it would see your secret"
        )
    elif problem := url_problem(options.server_url):
        yield f"server_url {problem}"
    for issuer in options.allowed_issuers:
        if problem := url_problem(issuer):
            yield f"allowed_issuers: {issuer!r} {problem}"
    model = options.model
    if model is not None and not (model.strip() and model.isprintable()):
        yield "model must be the name of a model, e.g. claude-sonnet-4"
    if model is not None and len(model) > LONGEST_MODEL:
        yield f"model may have {LONGEST_MODEL} characters at most"
    if options.private_key is not None and key_problem(options.private_key):
        yield (
            "private_key is not a private key that can sign: EC (P-256, P-384, P-521), RSA (2048 "
            "bits or more) or Ed25519, without a password"
        )
    for name in ("timeout", "deadline"):
        if not 0 < getattr(options, name) <= 600:
            yield f"{name} must be a number of seconds, at most 600"
