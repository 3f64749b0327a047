"""Checks of the Auth Agent server: its address, its identity, and the keys for its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from auth_agent.doctor.finding import (
    Finding,
    failure,
    in_words,
    is_certificate_problem,
    note,
    ok,
    plain,
    warning,
)
from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.effects import Flow
from auth_agent.flow.exchange import HttpResponse
from auth_agent.protocol.dpop.proof import ADVERTISED
from auth_agent.protocol.jose.algorithms import ALGORITHMS
from auth_agent.protocol.jose.jwks import KeySet, parse_jwks
from auth_agent.protocol.metadata import Metadata, parse_metadata
from auth_agent.protocol.provider import fetch_keys, fetch_metadata
from auth_agent.url import url_problem
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Site

SKEW_WARNING = 10.0
SKEW_FAILURE = 60.0


def examine_server(site: Site, proxy: str | None) -> Flow[tuple[Metadata | None, list[Finding]]]:
    """Returns the server's metadata, if usable, and the findings on the way."""
    settings, asked_at = site.settings, site.clock()
    try:
        response = yield from fetch_metadata(settings.issuer)
    except ServerUnavailable as error:
        return None, [_unreachable(settings, error, proxy)]
    except AuthError as error:
        return None, [_no_metadata(settings, error.description)]
    found = [judge_clock(response, asked_at, site.clock())]
    if 300 <= response.status < 400:
        return None, [_moved(settings, response), *found]
    needs_keys = settings.identity == "id_token"
    try:
        metadata = parse_metadata(response, issuer=settings.issuer, needs_keys=needs_keys)
    except AuthError as error:
        return None, [_judge_metadata(settings, response, error), *found]
    answers = ok(
        "server.answers", f"{settings.issuer} answers, and its metadata names the same issuer."
    )
    if needs_keys:
        found += yield from _examine_keys(settings, metadata)
    elif metadata.introspection_endpoint is None:
        found.append(_no_introspection())
    if settings.dpop == "require":
        found.append(_judge_proofs(metadata))
    return metadata, [answers, *found]


def _judge_proofs(metadata: Metadata) -> Finding:
    """Says whether the server binds tokens to keys, if the website accepts no others."""
    if {*ADVERTISED, "Ed25519"}.isdisjoint(metadata.dpop_algorithms or ()):
        return failure(
            "server.dpop",
            "AUTH_AGENT_DPOP is require, but the server does not bind tokens to keys "
            f"({' or '.join(ADVERTISED)}): this website would accept none of its tokens.",
            "Set AUTH_AGENT_DPOP=accept, or use a server that offers DPoP (RFC 9449).",
        )
    return ok(
        "server.dpop",
        "The server binds tokens to keys (DPoP), and this website accepts no others.",
    )


def judge_clock(response: HttpResponse, asked_at: float, answered_at: float) -> Finding:
    """Compares the clocks: `Date` is the answer's time (RFC 9110 6.6.1), `Age` a cache's delay."""
    said = _moment(response.headers)
    if said is None:
        return note(
            "server.clock_unknown",
            "The server's answer has no Date header; the clocks were not compared.",
        )
    skew = min(0.0, said + 1 - asked_at) or max(0.0, said - answered_at)
    if abs(skew) <= SKEW_WARNING:
        return ok("server.clock", "The clocks of the server and this machine agree.")
    apart = f"The server's clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'}"
    remedy = "Set both clocks by NTP (timedatectl set-ntp true, or chrony)."
    if abs(skew) <= SKEW_FAILURE:
        return warning("server.clock_skew", f"{apart} this machine's.", remedy)
    cause = "its tokens look expired or not yet valid, and this website refuses them"
    return failure("server.clock_skew", f"{apart} this machine's: {cause}.", remedy)


def _moment(headers: Mapping[str, str]) -> float | None:
    try:
        return parsedate_to_datetime(headers["date"]).timestamp() + int(headers.get("age", "0"))
    except (KeyError, ValueError, TypeError):
        return None


def _unreachable(settings: Settings, error: ServerUnavailable, proxy: str | None) -> Finding:
    if error.code in ("proxy_failed", "tls_failed"):  # this machine's environment, not the server
        return failure("server.unreachable", plain(error.description), "Correct that variable.")
    if not error.reason:  # it answers, and reports that it is broken
        return failure(
            "server.broken",
            f"{settings.issuer} answers with an error. {plain(error.description)}",
            "Check the log of the server, and of the proxy in front of it.",
        )
    message = f"{settings.issuer} cannot be reached: {in_words(error)}."
    if is_certificate_problem(error):
        remedy = (
            "Renew the server's certificate, with the whole chain; if an authority of your own "
            "signed it, let SSL_CERT_FILE name a file that holds that authority, too."
        )
    elif proxy is not None:
        remedy = (
            f"The connection goes through the proxy {proxy} (HTTP_PROXY, HTTPS_PROXY). Check that "
            "the proxy runs and can reach the server; to go without the proxy, name the server's "
            "host in NO_PROXY."
        )
    else:
        remedy = (
            "Is the server running, is AUTH_AGENT_ISSUER its address, and can this machine reach "
            "it (DNS, firewall)?"
        )
    return failure("server.unreachable", message, remedy)


def _no_metadata(settings: Settings, cause: str) -> Finding:
    return failure(
        "server.no_metadata",
        f"What answers at {settings.issuer} is not an Auth Agent server. {plain(cause)}",
        "Set AUTH_AGENT_ISSUER to what the server calls its issuer; "
        "`auth-agent serve` prints it when it starts.",
    )


def _moved(settings: Settings, response: HttpResponse) -> Finding:
    where = response.headers.get("location", "").partition("?")[0]
    return failure(
        "server.moved",
        f"{settings.issuer} redirects to {plain(where)}; a website follows no redirect of its "
        "issuer.",
        "Set AUTH_AGENT_ISSUER to the address that answers without a redirect.",
    )


def _judge_metadata(settings: Settings, response: HttpResponse, error: AuthError) -> Finding:
    if error.code == "issuer_mismatch":
        return _mismatch(settings, response)
    if error.code == "metadata_invalid":
        return failure(
            "server.metadata_invalid",
            plain(error.description),
            "Correct the server's configuration. Behind a proxy, set the server's public https "
            "address (AUTH_AGENT_SERVER_ISSUER).",
        )
    return _no_metadata(settings, error.description)


def _mismatch(settings: Settings, response: HttpResponse) -> Finding:
    document = msgspec.json.decode(response.body, type=dict[str, Any])
    named = document.get("issuer")
    if not isinstance(named, str) or url_problem(named) is not None:
        return _no_metadata(settings, "Its metadata names no issuer.")
    hint = ""
    if named.rstrip("/") == settings.issuer.rstrip("/"):
        hint = " They differ in the slash at the end; they must be exactly the same."
    return failure(
        "server.issuer_mismatch",
        f"The server at {settings.issuer} calls itself {plain(named)}.{hint}",
        f"If that is your server, set AUTH_AGENT_ISSUER={plain(named)}; if that name is wrong, "
        "correct AUTH_AGENT_SERVER_ISSUER at the server.",
    )


def _no_introspection() -> Finding:
    return failure(
        "server.no_introspection",
        "AUTH_AGENT_IDENTITY is introspection, and the server has no introspection endpoint.",
        "Remove AUTH_AGENT_IDENTITY if the server signs ID tokens; if it does not, this "
        "website cannot use it.",
    )


def _examine_keys(settings: Settings, metadata: Metadata) -> Flow[list[Finding]]:
    where = f"at {plain(metadata.jwks_uri)}"
    try:
        response = yield from fetch_keys(metadata.jwks_uri or "")
    except ServerUnavailable as error:
        message = f"The server's keys {where} cannot be fetched: {in_words(error)}."
        remedy = "Make jwks_uri of the server's metadata reachable from this machine."
        return [failure("server.keys_unreachable", message, remedy)]
    except AuthError as error:
        message = f"The server's keys {where} are unusable. {plain(error.description)}"
        return [failure("server.keys_unusable", message, _NEEDS_KEYS)]
    try:
        keys = parse_jwks(response)
    except AuthError:
        message = f"The server publishes no key {where} that a signature could be verified with."
        return [failure("server.keys_unusable", message, _NEEDS_KEYS)]
    return list(judge_algorithms(settings, metadata, keys))


_NEEDS_KEYS = (
    "The server has to publish an EC, Ed25519 or RSA key (2048 bits or more). The original Auth "
    "Agent server signs with none: for such a server set AUTH_AGENT_IDENTITY=introspection."
)


def judge_algorithms(settings: Settings, metadata: Metadata, keys: KeySet) -> Iterator[Finding]:
    """Checks that one algorithm is allowed here, advertised there, and has a key."""
    promised = metadata.id_token_algorithms
    common = [alg for alg in settings.algorithms if promised is None or alg in promised]
    usable = [alg for alg in common if any(key.fits(alg) for key in keys.keys)]
    if usable:
        yield ok(
            "server.keys",
            f"The server signs with {' or '.join(usable)}, which this website accepts.",
        )
        return
    theirs = ", ".join(promised or ()) or "no algorithm that it names"
    possible = [alg for alg in promised or ALGORITHMS if _is_possible(alg, keys)]
    if common:
        message = f"The server signs with {plain(theirs)}, but publishes no key for that."
        remedy = "Correct the server: its metadata and its keys contradict each other."
    elif possible:
        ours = ", ".join(settings.algorithms)
        message = f"AUTH_AGENT_ALGORITHMS allows {ours}, but the server signs with {plain(theirs)}."
        remedy = f"Remove AUTH_AGENT_ALGORITHMS, or set it to {', '.join(possible)}."
    else:
        message = (
            f"The server signs with {plain(theirs)}, which a website cannot verify with a public "
            "key."
        )
        remedy = f"Let the server sign with one of {', '.join(ALGORITHMS)}."
    yield failure("server.algorithm_unsupported", message, remedy)


def _is_possible(alg: str, keys: KeySet) -> bool:
    return alg in ALGORITHMS and any(key.fits(alg) for key in keys.keys)
