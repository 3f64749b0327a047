"""The options of an SDK: frozen, and checked at creation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from auth_agent.errors import AuthError, SettingsError, SignatureRefused
from auth_agent.protocol.jose.key_file import KeyFileShared, read_key_file
from auth_agent.protocol.jose.private_key import key_problem, load_key
from auth_agent.sdk.text import one_line
from auth_agent.secret import Secret
from auth_agent.url import normal_origin, url_problem

TIMEOUT = 10.0
DEADLINE = 30.0
LONGEST_MODEL = 200
_KINDS = "EC (P-256, P-384, P-521), RSA (2048 bits or more) or Ed25519"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`timeout` bounds each request, `deadline` a call with its repetitions, both in seconds.

    `allowed_websites` (origins) and `allowed_scopes` bound every sign-in; empty means no bound.
    `allowed_resources` are the APIs that a client may ask access to; empty means that websites may
    ask for their own, and that a native client, which belongs to no website, may ask for none.
    `signing_key` signs HTTP requests, as `signature_agent`: the agent's document, where its server
    publishes the public half.
    Raises `SettingsError` with all mistakes.
    """

    agent_id: str
    agent_secret: Secret | None = None
    server_url: str
    private_key: Secret | None = None
    signing_key: Secret | None = None
    signature_agent: str | None = None
    signature_form: str = "dictionary"
    signature_string_hosts: tuple[str, ...] = ()
    model: str | None = None
    allowed_issuers: tuple[str, ...] = ()
    allowed_websites: tuple[str, ...] = ()
    allowed_scopes: frozenset[str] = frozenset()
    allowed_resources: tuple[str, ...] = ()
    timeout: float = TIMEOUT
    deadline: float = DEADLINE

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise SettingsError(problems)

    @property
    def named_as(self) -> str:
        """Returns the URL by which websites know the agent's signed requests."""
        return self.signature_agent or f"{self.server_url}/agents/{quote(self.agent_id)}"

    @property
    def issuers(self) -> tuple[str, ...]:
        """Returns the only servers that the agent authenticates to."""
        return self.allowed_issuers or (self.server_url,)

    def check_credential(self) -> None:
        """Raises `SettingsError` if the agent has neither a key nor a secret."""
        if not self.private_key and not self.agent_secret:
            raise SettingsError(
                [
                    "agent_secret is missing: give what `auth-agent agent add` printed, or a "
                    "private_key whose public half was registered"
                ]
            )

    def check_website(self, website: str) -> None:
        """Raises `website_not_allowed` if the operator limits the agent to other websites."""
        allowed = {normal_origin(origin) for origin in self.allowed_websites}
        if allowed and normal_origin(website) not in allowed:
            raise AuthError(
                f"This agent is not allowed to sign in to {one_line(website)}: it is not in "
                "allowed_websites (AUTH_AGENT_AGENT_WEBSITES). Nothing was sent.",
                code="website_not_allowed",
                status_code=403,
            )

    def check_scopes(self, scopes: frozenset[str]) -> None:
        """Raises `scope_not_allowed` if the operator allows less than a website asks for."""
        if self.allowed_scopes and not scopes <= self.allowed_scopes:
            more = one_line(" ".join(sorted(scopes - self.allowed_scopes)))
            raise AuthError(
                f"The website asks for the scope {more}, which is not in allowed_scopes "
                "(AUTH_AGENT_AGENT_SCOPES). Nothing was approved.",
                code="scope_not_allowed",
                status_code=403,
            )

    def check_resources(self, resources: Iterable[str], *, native: bool) -> None:
        """Raises `resource_not_allowed` if a client asks for an API that it may not have."""
        if not self.allowed_resources and not native:
            return
        allowed = {_written(url) for url in self.allowed_resources}
        for resource in resources:
            if _written(resource) not in allowed:
                raise AuthError(
                    f"The client asks for access to {one_line(resource)}, which is not in "
                    "allowed_resources (AUTH_AGENT_AGENT_RESOURCES). Nothing was approved.",
                    code="resource_not_allowed",
                    status_code=403,
                )


def _written(url: str) -> str:
    """Returns a URL's normal form: a default port, an empty path and case do not count."""
    try:
        parts = urlsplit(url)
        origin = normal_origin(url)
    except ValueError:
        return url
    query = f"?{parts.query}" if parts.query else ""
    return f"{origin}{parts.path or '/'}{query}"


def read_key(given: Secret | str | Path | None, name: str = "private_key") -> Secret | None:
    """Returns a PEM text as it is, or the file at a path; raises `SettingsError`."""
    text = given.reveal() if isinstance(given, Secret) else given
    if text is None or text == "":
        return None
    if isinstance(text, str) and "-----BEGIN" in text:
        return Secret(text)
    try:
        return Secret(read_key_file(Path(text)))
    except KeyFileShared:
        shown = _shown_path(text)
        problem = f"{name}: the file {shown} can be read or changed by other users"
        raise SettingsError([f"{problem}: run chmod 600 on it"]) from None
    except FileNotFoundError:
        problem = f"there is no file {_shown_path(text)}"
    except OSError as error:
        problem = f"{_shown_path(text)} cannot be read ({error.strerror})"
    except ValueError:
        problem = f"{_shown_path(text)} is not a PEM file"
    raise SettingsError(
        [f"{name} is neither a PEM private key nor the path of a readable one: {problem}"]
    )


def _shown_path(given: str | Path) -> str:
    """Shows a value only if it is surely a path: other text may be a key without its first line."""
    text = str(given)
    is_path = isinstance(given, Path) or "{" not in text
    return one_line(text) if is_path and Path(text).suffix and len(text) < 256 else "of this name"


def _wrong_key(key: Secret, name: str, kinds: str) -> str:
    text = key.reveal()
    if "PUBLIC KEY-----" in text or "BEGIN CERTIFICATE" in text:
        return f"{name} is a public key: give the private key's file"
    if "ENCRYPTED" in text:
        return (
            f"{name} is protected by a password: write the key without one, to a file with mode 600"
        )
    return f"{name} is not a private key that can sign: {kinds}, without a password"


def _signing_problems(options: Options) -> Iterator[str]:
    if options.signing_key is None:
        if options.signature_agent:
            yield "signature_agent needs a signing_key, which signs the requests"
        return
    from auth_agent.protocol.signatures.agents import read_agent  # noqa: PLC0415
    from auth_agent.protocol.signatures.sign import load_signing_key  # noqa: PLC0415

    if key_problem(options.signing_key):
        yield _wrong_key(options.signing_key, "signing_key", "Ed25519")
        return
    try:
        kid = load_signing_key(options.signing_key).kid
    except ValueError as error:
        yield f"signing_key {error}"
        return
    private = options.private_key
    if private and not key_problem(private) and load_key(private).kid == kid:
        yield "signing_key is the private_key: make another one, each key has one purpose"
    if options.signature_agent:
        try:
            read_agent(options.signature_agent, loopback_allowed=True)
        except SignatureRefused as error:
            yield f"signature_agent: {error.description}"
    if options.signature_form not in ("dictionary", "string"):
        yield "signature_form must be dictionary or string"


def _problems(options: Options) -> Iterator[str]:
    if not options.agent_id:
        yield "agent_id is missing: register the agent with `auth-agent agent add`"
    if not options.server_url:
        yield (
            "server_url is missing: give the URL of your Auth Agent server, e.g. "
            "https://auth.example; there is no default, because this server receives the agent's "
            "credentials"
        )
    elif problem := url_problem(options.server_url):
        yield f"server_url {problem}"
    for issuer in options.allowed_issuers:
        if problem := url_problem(issuer):
            yield f"allowed_issuers: {issuer!r} {problem}"
    for website in options.allowed_websites:
        if problem := url_problem(website, origin=True):
            yield f"allowed_websites: {website!r} {problem}"
    model = options.model
    if model is not None and not (model.strip() and model.isprintable()):
        yield "model must be the name of a model, e.g. claude-sonnet-4"
    if model is not None and len(model) > LONGEST_MODEL:
        yield f"model can have at most {LONGEST_MODEL} characters"
    if options.private_key is not None and key_problem(options.private_key):
        yield _wrong_key(options.private_key, "private_key", _KINDS)
    yield from _signing_problems(options)
    for name in ("timeout", "deadline"):
        if not 0 < getattr(options, name) <= 600:
            yield f"{name} must be a number of seconds, at most 600"
