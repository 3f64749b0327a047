"""Verification: the checks of Web Bot Auth, in the order that costs least, then the signature.

Pure: the caller brings the message, the key and the time, and looks after nonces.
"""

from __future__ import annotations

from collections.abc import Mapping

from auth_agent.errors import SignatureRefused
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.signatures.base import signature_base
from auth_agent.protocol.signatures.bounds import CHANGE_SECONDS, LONGEST, SAFE_METHODS, TAG
from auth_agent.protocol.signatures.fields import Signed
from auth_agent.protocol.signatures.keys import PUBLISHED_KEYS, VerifyingKey, is_signed
from auth_agent.protocol.signatures.message import Message

AGENT_FIELD = "signature-agent"


def check_profile(
    signed: Signed,
    *,
    method: str,
    now: float,
    is_handshake: bool = False,
    has_query: bool = False,
) -> None:
    """Raises `SignatureRefused` unless times and components are those of a signed request.

    The handshake of a WebSocket counts as a change: it opens what anything may be changed through.
    """
    _check_parameters(signed)
    check_times(signed, now)
    covered = _covered(signed)
    if not {"@authority", "@target-uri"} & covered:
        raise _uncovered("@authority (or @target-uri)")
    if is_handshake or method not in SAFE_METHODS:
        _check_change(signed, covered, now, has_query=has_query)


def agent_member(signed: Signed, agents: Mapping[str, str]) -> str:
    """Returns the value of `Signature-Agent` that the signature covers; raises unless it is one.

    The label need not be the member's key: the specification's own examples differ.
    """
    found = [one for one in signed.components if one.name == AGENT_FIELD]
    if len(found) != 1:
        raise _uncovered("exactly one member of Signature-Agent")
    params = found[0].params
    key = params.get("key") if params else ""
    whole = not params and "" in agents  # the old form, one String
    if not whole and (set(params) != {"key"} or not isinstance(key, str) or not key):
        raise _uncovered('one member of Signature-Agent ("signature-agent";key="…")')
    if key not in agents:
        raise SignatureRefused(
            "The signature covers a member of Signature-Agent that is not a URL.",
            code="agent_malformed",
        )
    return agents[str(key)]


def verify_signature(message: Message, signed: Signed, key: VerifyingKey) -> None:
    """Raises `SignatureRefused` unless the signature over the message is this key's."""
    if key.keyid in PUBLISHED_KEYS:
        raise SignatureRefused(
            "This key is a published example, so that anyone can sign with it. Sign with a key "
            "of your own.",
            code="key_published",
        )
    if signed.params.get("alg", key.alg) != key.alg:  # RFC 9421 3.2, step 6
        raise SignatureRefused(
            "The signature's algorithm (`alg`) is not the one of its key.", code="alg_mismatch"
        )
    if not is_signed(key, signed.signature, signature_base(message, signed)):
        raise SignatureRefused(
            "The signature does not match this request. Sign exactly this method and URL, with "
            "the website's public address.",
            code="signature_wrong",
        )


def _check_parameters(signed: Signed) -> None:
    missing = [name for name in ("created", "expires", "keyid", "tag") if name not in signed.params]
    if missing or signed.params["tag"] != TAG:
        raise SignatureRefused(
            f'A signature needs created, expires, keyid and tag="{TAG}".',
            code="signature_incomplete",
        )


def check_times(signed: Signed, now: float) -> None:
    """Raises `SignatureRefused` unless the signature counts at this time."""
    created, expires = signed.params["created"], signed.params["expires"]
    if not created < expires <= created + LONGEST:
        raise SignatureRefused(
            "A signature lasts at most 24 hours from created to expires.", code="expires_too_late"
        )
    if created > now + CLOCK_SKEW:
        raise SignatureRefused(
            "The signature was created in the future. Correct the clock of the machine that signs.",
            code="created_in_future",
        )
    if now >= expires:
        raise SignatureRefused(
            "The signature has expired. Sign the request again.", code="signature_expired"
        )


def _check_change(signed: Signed, covered: frozenset[str], now: float, *, has_query: bool) -> None:
    """Demands more for a change: `@authority` alone would open any path, with any body.

    A query may name what is changed, so one that is there has to be covered, too.
    """
    if "@method" not in covered:
        raise _uncovered("@method, because the request changes something or opens a WebSocket")
    if "@target-uri" not in covered and not {"@path", "@authority"} <= covered:
        raise _uncovered("@path with @authority (or @target-uri)")
    if has_query and not {"@target-uri", "@query", "@request-target"} & covered:
        raise _uncovered("@query (or @target-uri), because the request has a query")
    if signed.params["created"] < now - CHANGE_SECONDS:
        raise SignatureRefused(
            "A request that changes something needs a signature that is at most "
            f"{CHANGE_SECONDS} seconds old.",
            code="signature_too_old",
        )
    if not signed.params.get("nonce"):
        raise SignatureRefused(
            "A request that changes something needs a signature with a nonce.",
            code="nonce_missing",
        )


def _covered(signed: Signed) -> frozenset[str]:
    """Returns the components without parameters; one with parameters means something else."""
    return frozenset(one.name for one in signed.components if not one.params)


def _uncovered(what: str) -> SignatureRefused:
    return SignatureRefused(f"The signature has to cover {what}.", code="coverage_missing")
