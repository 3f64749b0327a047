"""Authentication by access token, at userinfo and at the agent's own API.

A token comes as `Bearer` (RFC 6750) or, if it is bound to a key, as `DPoP` beside a proof of that
key (RFC 9449 7). The token decides which of the two it has to be.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from auth_agent.protocol.dpop.proof import ADVERTISED, is_same_key
from auth_agent.server.context import Context
from auth_agent.server.security.dpop import BadProof
from auth_agent.server.tokens.families import Family
from auth_agent.server.tokens.presented import find_presented
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Call, Headers, Refusal
from auth_agent.server.web.parameters import from_body

_ALGORITHMS = f'algs="{" ".join(ADVERTISED)}"'
_OFFER = ("www-authenticate", f"DPoP {_ALGORITHMS}")
_NAMES = {"bearer": "Bearer", "dpop": "DPoP"}


class Bearer(NamedTuple):
    """A valid access token: its family and its claims."""

    family: Family
    claims: dict[str, Any]


class _Given(NamedTuple):
    """A token as it was sent."""

    scheme: str
    token: str


def need_bearer(context: Context, call: Call, *, in_form: bool = False) -> Bearer:
    """Returns the token's family and claims; Refusal 401 if it, or its proof, is not valid.

    With `in_form` the token may be in the form instead of the header (RFC 6750 section 2.2).
    """
    given = _given_anywhere(call) if in_form else _given_in_header(call)
    if given.scheme != "dpop":
        bearer = _valid(context, given)
        if "cnf" in bearer.claims:
            text = "The access token is bound to a key; send it as DPoP with a proof of this key"
            raise _refusal(given.scheme, 401, "invalid_token", text, _OFFER)
        return bearer
    return _with_proof(context, call, given)


def need_agent(context: Context, call: Call) -> tuple[Bearer, Headers]:
    """Returns the agent that calls this server's own API, and headers for the answer.

    Refuses a website's token, or each website could rewrite the agent's profile: the agent must
    have got the token for itself, and for this server.
    """
    bearer = need_bearer(context, call)
    headers = context.limits.take("calls", bearer.claims["client_id"])
    audience = bearer.claims["aud"]
    is_ours = context.settings.issuer in ([audience] if isinstance(audience, str) else audience)
    if not is_ours or bearer.claims["client_id"] != bearer.family.agent.id:
        text = "Use an access token that the agent got for this server"
        raise _refusal(scheme_of(call), 403, "insufficient_scope", text)
    return bearer, (*headers, *context.proofs.nonce_header())


def scheme_of(call: Call) -> str:
    """Returns the scheme of the Authorization header, in lower case."""
    return call.headers.get("authorization", "").partition(" ")[0].lower()


def _valid(context: Context, given: _Given) -> Bearer:
    presented = find_presented(context, given.token)
    if presented is None or presented.claims is None or presented.is_revoked():
        text = "The access token has expired, was revoked or is not from this server"
        raise _refusal(given.scheme, 401, "invalid_token", text)
    return Bearer(presented.family, presented.claims)


def _with_proof(context: Context, call: Call, given: _Given) -> Bearer:
    """Checks the proof, then the token, then their bond; the proof counts once all of it holds."""
    proofs = context.proofs
    try:
        proof = proofs.check(call.headers.get("dpop"), call.method, call.path, given.token)
        bearer = _valid(context, given)
        jkt = bearer.claims.get("cnf", {}).get("jkt")
        if jkt is None or not is_same_key(jkt, proof.jkt):
            text = "The access token is not bound to the key of the proof"
            raise _refusal("dpop", 401, "invalid_token", text)
        or_wait()  # to write
        with context.database.begin() as connection:
            proofs.use(connection, proof)
    except BadProof as bad:
        raise _refusal("dpop", 401, bad.error, bad.description, *proofs.nonce_header()) from None
    return bearer


def _given_in_header(call: Call) -> _Given:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    scheme, token = scheme.lower(), token.strip()
    if scheme not in _NAMES or not token:
        # RFC 6750 section 3.1: no error code for a request without any authentication.
        challenges = (("www-authenticate", "Bearer"), _OFFER)
        raise Refusal(401, "invalid_token", "An access token is required", challenges)
    return _Given(scheme, token)


def _given_anywhere(call: Call) -> _Given:
    """Returns the one access token of a request, from the header or a form."""
    in_body = ""
    if call.method == "POST" and call.body:
        in_body = from_body(call.content_type, call.body).get("access_token", "")
    if not in_body:
        return _given_in_header(call)
    if "authorization" in call.headers:
        text = "Send the access token in one way only"
        raise _refusal("bearer", 400, "invalid_request", text)
    return _Given("bearer", in_body)


def _refusal(
    scheme: str, status: int, error: str, description: str, *more: tuple[str, str]
) -> Refusal:
    challenge = f'{_NAMES[scheme]} error="{error}", error_description="{description}"'
    challenge += f", {_ALGORITHMS}" if scheme == "dpop" else ""
    return Refusal(status, error, description, (("www-authenticate", challenge), *more))
