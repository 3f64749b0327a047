"""What an agent tells its SDK: frozen, and checked at birth."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.url import url_problem

TIMEOUT = 10.0
LONGEST_MODEL = 200


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`timeout` is in seconds and bounds each request. Raises `SettingsError` with all mistakes."""

    agent_id: str
    agent_secret: Secret | None
    server_url: str
    model: str | None = None
    allowed_issuers: tuple[str, ...] = ()
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise SettingsError(problems)

    @property
    def issuers(self) -> tuple[str, ...]:
        """The servers that may see the agent's secret, and no others."""
        return self.allowed_issuers or (self.server_url,)

    def secret(self) -> Secret:
        """Raises `SettingsError` where the agent has none."""
        if not self.agent_secret:
            raise SettingsError(
                ["agent_secret is missing: give what `auth-agent agent add` printed"]
            )
        return self.agent_secret


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
    if not 0 < options.timeout <= 600:
        yield "timeout must be a number of seconds, at most 600"
