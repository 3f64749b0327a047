"""Signing in: the redirect to the server, and the callback that ends it.

The codes of a refused callback: `query_too_large`, `duplicate_parameter`, `state_missing`,
`state_expired`, `state_reused`, `login_cookie_missing`, `login_cookie_unreadable`, `other_host`,
`state_unknown` (`missing_state`), `issuer_missing`, `issuer_mismatch`,
`code_missing`, `access_denied`, `expired` and the errors of RFC 6749 4.1.2.1, `invalid_grant`,
`agent_refused`, `session_ended`, `another_agent`, `owner_not_asked`, `act_not_approved`,
`authentication_too_old` and the others of the ID token (`auth_agent.protocol.jose.id_token`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from auth_agent.errors import AuthError, ServerMisbehaved, SignInRefused, TokenRefused
from auth_agent.flow.effects import Flow, send
from auth_agent.protocol.details import OWNER
from auth_agent.protocol.introspection import introspection_request, parse_introspection
from auth_agent.protocol.jose.claims import merge, with_flags
from auth_agent.protocol.jose.id_token import Expected, read_id_token, verify_id_token
from auth_agent.protocol.jose.jws import check_subject
from auth_agent.protocol.metadata import Metadata
from auth_agent.protocol.pkce import challenge_of
from auth_agent.protocol.token import Tokens, code_request, parse_tokens
from auth_agent.protocol.userinfo import (
    is_signed,
    parse_userinfo,
    read_signed_userinfo,
    userinfo_request,
    verify_userinfo,
)
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Site
from auth_agent.website.recognition.renewal import vouch
from auth_agent.website.recognition.session import Session, open_session
from auth_agent.website.sign_in.asking import check_asked
from auth_agent.website.sign_in.logout import revoke_token
from auth_agent.website.sign_in.queries import Callback
from auth_agent.website.sign_in.transaction import Transaction

# Claims of a signed userinfo about itself, not about the agent.
_OF_THE_TOKEN = ("iss", "aud", "exp", "iat", "nbf", "jti")
_ERROR_CODE = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,64}")  # RFC 6749 4.1.2.1


def authorization_request(transaction: Transaction, settings: Settings) -> dict[str, str]:
    """Returns the parameters of RFC 6749 4.1.1 with PKCE S256 (RFC 7636 4.3) and a nonce."""
    asked = transaction.asked
    parameters = {
        "client_id": settings.client_id,
        "response_type": "code",
        "redirect_uri": settings.redirect_uri,
        "scope": settings.scope,
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": challenge_of(transaction.verifier),
        "code_challenge_method": "S256",
    }
    if settings.audience is not None:
        parameters["resource"] = settings.audience
    if asked.max_age is not None:
        parameters["max_age"] = str(asked.max_age)
    if asked.approved:
        parameters["acr_values"] = OWNER
    return parameters


def authorization_url(transaction: Transaction, settings: Settings, metadata: Metadata) -> str:
    """Returns the URL of an authorization request; raises `ServerMisbehaved`."""
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415

    try:
        url: str = prepare_grant_uri(
            metadata.authorization_endpoint, **authorization_request(transaction, settings)
        )
    except ValueError:
        raise ServerMisbehaved(
            "authorization_endpoint in the server's metadata has a malformed query.",
            code="metadata_invalid",
        ) from None
    return url


def finish(
    callback: Callback, transaction: Transaction, spend: Callable[[], Flow[None]], site: Site
) -> Flow[Session]:
    """Returns the new session; raises an `AuthError` if any check fails.

    `spend` refuses a transaction that was finished before. If the sign-in fails after the
    exchange, its tokens are revoked.
    """
    metadata = yield from site.provider.metadata()
    _check_issuer(callback, metadata)
    yield from spend()
    request = code_request(
        _read_code(callback),
        transaction.verifier,
        site.credentials(metadata),
        redirect_uri=site.settings.redirect_uri,
        resource=site.settings.audience,
    )
    by_id_token = site.settings.identity == "id_token"
    tokens = parse_tokens((yield from send(request)), needs_id_token=by_id_token)
    try:
        if by_id_token:
            claims = yield from _identify(tokens, transaction, site)
        else:
            claims = yield from _ask_identity(tokens, metadata, site)
        session = open_session(claims, tokens, site)
        check_asked(session.agent, transaction.asked, now=site.clock())
        return (yield from vouch(session, tokens.refresh_token, metadata, site))
    except AuthError:
        yield from revoke_token(tokens.refresh_token, site)
        raise


def _check_issuer(callback: Callback, metadata: Metadata) -> None:
    """Compares the issuers as strings (RFC 9207 2.4); may be absent if never promised."""
    if callback.iss is None and metadata.sends_iss:
        raise SignInRefused(
            "The sign-in response does not name its server (no `iss`).", code="issuer_missing"
        )
    if callback.iss is not None and callback.iss != metadata.issuer:
        raise SignInRefused(
            "The sign-in response comes from another server.", code="issuer_mismatch"
        )


def _read_code(callback: Callback) -> str:
    if callback.error is not None:
        known = _ERROR_CODE.fullmatch(callback.error)
        code = callback.error if known else "unknown_error"
        if code == "access_denied":
            raise SignInRefused(
                "The sign-in was cancelled, or the agent's owner did not approve it. Start again "
                "to sign in.",
                code=code,
                status_code=403,
            )
        if code == "expired":
            raise SignInRefused(
                "The agent's owner did not answer in time. Start again to sign in.",
                code="expired",
                status_code=403,
            )
        raise SignInRefused(f"The Auth Agent server answered: {code}.", code=code)
    if not callback.code:
        raise SignInRefused("The sign-in response is incomplete (no `code`).", code="code_missing")
    return callback.code


def _identify(tokens: Tokens, transaction: Transaction, site: Site) -> Flow[Mapping[str, Any]]:
    settings, id_token = site.settings, tokens.id_token or ""
    header = read_id_token(id_token, allowed=settings.algorithms)
    metadata = yield from site.provider.check_advertised(header)
    key = yield from site.provider.key(header)
    expected = Expected(
        issuer=settings.issuer,
        client_id=settings.client_id,
        nonce=transaction.nonce,
        access_token=tokens.access_token,
        max_age=settings.session_lifetime,
        now=site.clock(),
        trusted=settings.trusted_audiences,
        max_auth_age=transaction.asked.max_age,
    )
    claims = verify_id_token(id_token, header, key, expected)
    if not _wants_userinfo(claims, tokens, settings):
        return claims
    return (yield from _with_userinfo(claims, tokens, metadata, site))


def _ask_identity(tokens: Tokens, metadata: Metadata, site: Site) -> Flow[Mapping[str, Any]]:
    """Asks a server of the original kind, which signs nothing that a website could verify: over TLS
    it names the agent of the token that it has just issued.
    """
    credentials = site.credentials(metadata)
    request = introspection_request(tokens.access_token, "access_token", credentials)
    if request is None:
        raise ServerMisbehaved(
            "The server's metadata names no introspection_endpoint, which "
            "AUTH_AGENT_IDENTITY=introspection needs.",
            code="metadata_invalid",
        )
    claims = parse_introspection((yield from send(request)))
    if claims is None:
        raise TokenRefused(
            "The server says that the token it has just issued is not active.",
            code="token_inactive",
        )
    if claims.get("client_id") != site.settings.client_id:
        raise TokenRefused("The token was issued to another website.", code="audience_mismatch")
    check_subject(claims)
    return (yield from _with_userinfo(claims, tokens, metadata, site))


def _with_userinfo(
    claims: Mapping[str, Any], tokens: Tokens, metadata: Metadata, site: Site
) -> Flow[Mapping[str, Any]]:
    """Adds the claims of userinfo about the same agent, from JSON or a signed token."""
    claims = with_flags(claims)
    if metadata.userinfo_endpoint is None:
        return claims
    response = yield from send(userinfo_request(metadata.userinfo_endpoint, tokens.access_token))
    subject, settings = claims["sub"], site.settings
    if not is_signed(response):
        return merge(claims, parse_userinfo(response, subject=subject))
    token, header = read_signed_userinfo(response, allowed=settings.algorithms)
    key = yield from site.provider.key(header)
    userinfo = verify_userinfo(
        token,
        header,
        key,
        issuer=settings.issuer,
        client_id=settings.client_id,
        subject=subject,
        now=site.clock(),
    )
    return merge(claims, {n: v for n, v in userinfo.items() if n not in _OF_THE_TOKEN})


def _wants_userinfo(claims: Mapping[str, Any], tokens: Tokens, settings: Settings) -> bool:
    if settings.userinfo != "auto":
        return settings.userinfo == "always"
    granted = settings.scopes if tokens.scopes is None else tokens.scopes
    return "email" in granted and "email" not in claims
