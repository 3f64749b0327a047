"""The `WWW-Authenticate` header: the schemes that would be accepted, and what was wrong.

A visit with a token is answered in the token's scheme, any other in all that the website accepts.
They stand in one header, because some frameworks keep one of each name; clients search it for
`scope="…"`, so nothing that holds foreign words stands before that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auth_agent.errors import ProofRefused, TokenRefused
from auth_agent.protocol.dpop.proof import ADVERTISED
from auth_agent.website.config.settings import Settings
from auth_agent.website.policy.requirement import Refusal
from auth_agent.website.policy.resource import metadata_url
from auth_agent.website.web.scheme import is_bearer, is_dpop
from auth_agent.website.web.visit import Visit

INSUFFICIENT = "insufficient_authorization"
NOT_APPROVED = "The owner has to approve this."
# The token is good, but not as it was sent; the challenge says how it has to be sent.
_NEED_PROOF = ("token_bound", "token_unbound")


def challenge_of(
    visit: Visit, settings: Settings, refusal: Refusal | None, scopes: Sequence[str]
) -> str:
    """Returns a challenge: no error code if no token came (RFC 6750 3.1), `max_age` by RFC 9470."""
    values: dict[str, str] = {}
    if refusal is not None:
        values["error"] = refusal.code
        if refusal.max_age is not None:
            values["max_age"] = str(refusal.max_age)
        if refusal.acr_values is not None:
            values["acr_values"] = refusal.acr_values
        if refusal.scope is not None:
            scopes = refusal.scope.split()
    values.update(_scope(scopes if refusal is not None else wanted_scopes(settings, scopes)))
    if refusal is not None:
        values["error_description"] = refusal.description
    return _challenge(visit, settings, values)


def challenge_of_act(visit: Visit, settings: Settings, remediation: str) -> str:
    """Returns the challenge to an act that was not approved; clients decode `remediation`.

    draft-ietf-oauth-rar-metadata-remediation-00.
    """
    values = {
        "error": INSUFFICIENT,
        "error_description": NOT_APPROVED,
        "authorization_remediation": remediation,
    }
    return _challenge(visit, settings, values)


def challenge_of_token(
    visit: Visit, settings: Settings, problem: TokenRefused, scopes: Sequence[str]
) -> str:
    """Returns the challenge to a token or a proof that was refused."""
    values = {
        "error": error_of(problem),
        **_scope(wanted_scopes(settings, scopes)),
        "error_description": problem.description,
    }
    if is_dpop(visit.authorization or ""):
        return _dpop(settings, values)
    bearer = _bearer(settings, values)
    return f"{bearer}, {_dpop_offer()}" if problem.code in _NEED_PROOF else bearer


def _challenge(visit: Visit, settings: Settings, values: Mapping[str, str]) -> str:
    """Answers in the scheme of the visit's token, else in all that the website accepts."""
    if is_dpop(visit.authorization or "") or settings.dpop == "require":
        return _dpop(settings, values)
    if is_bearer(visit.authorization or ""):
        return _bearer(settings, values)
    return f"{_bearer(settings, values)}, {_dpop_offer()}"


def wanted_scopes(settings: Settings, scopes: Sequence[str]) -> Sequence[str]:
    """Returns what a visit without a valid token has to ask for.

    The scopes of the place, else those of the metadata, else none: the server that issues the
    tokens has a default of its own, and no scope that we could name is known to every server.
    """
    return scopes or settings.api_scopes


def error_of(problem: TokenRefused) -> str:
    """Returns the error code of RFC 6750 3.1 or RFC 9449 7.1."""
    if isinstance(problem, ProofRefused):
        return "invalid_dpop_proof"
    return "invalid_request" if problem.status_code == 400 else "invalid_token"


def _scope(scopes: Sequence[str]) -> dict[str, str]:
    return {"scope": " ".join(scopes)} if scopes else {}


def _bearer(settings: Settings, values: Mapping[str, str]) -> str:
    """Returns the challenge with the address of the resource's metadata (RFC 9728 5.1)."""
    return _written("Bearer", {**values, "resource_metadata": metadata_url(settings)})


def _dpop(settings: Settings, values: Mapping[str, str]) -> str:
    more = {"algs": " ".join(ADVERTISED), "resource_metadata": metadata_url(settings)}
    return _written("DPoP", {**values, **more})


def _dpop_offer() -> str:
    return _written("DPoP", {"algs": " ".join(ADVERTISED)})


def _written(scheme: str, values: Mapping[str, str]) -> str:
    return f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in values.items())
