"""Checks of an API without browser sign-in: its metadata, and its means to verify tokens."""

from __future__ import annotations

import msgspec

from auth_agent.doctor.finding import Finding, failure, in_words, note, ok, plain
from auth_agent.errors import AuthError
from auth_agent.flow.effects import Flow, send
from auth_agent.flow.exchange import HttpRequest
from auth_agent.website.config.settings import Settings
from auth_agent.website.policy.resource import metadata_paths


def examine_api(settings: Settings, visited: str) -> Flow[list[Finding]]:
    """Examines an API; `visited` is the origin that agents use."""
    found = [] if settings.has_client else [_without_client()]
    for path in metadata_paths(settings):
        found.append((yield from _examine_metadata(settings, f"{visited}{path}")))
    return found


def _without_client() -> Finding:
    return note(
        "api.revocation",
        "Without client credentials only signed tokens (JWT) are accepted, and the server is not "
        "asked about them: a revoked token works until it expires.",
        "If that is too long, set AUTH_AGENT_CLIENT_ID and AUTH_AGENT_CLIENT_SECRET "
        "(`auth-agent client add`), or shorten the server's access tokens.",
    )


def _examine_metadata(settings: Settings, url: str) -> Flow[Finding]:
    """Checks the metadata, from which clients learn the server that issues tokens (RFC 9728)."""
    remedy = "Start the API, and let its proxy forward /.well-known/oauth-protected-resource to it."
    try:
        response = yield from send(HttpRequest("GET", url, (("Accept", "application/json"),)))
    except AuthError as error:
        return failure("api.metadata", f"{url} cannot be read: {in_words(error)}.", remedy)
    try:
        document = msgspec.json.decode(response.body, type=dict[str, object])
    except msgspec.DecodeError:
        document = {}
    if response.status != 200 or "resource" not in document:
        what = f"{url} answers {response.status} and no resource metadata."
        return failure("api.metadata", what, remedy)
    if document["resource"] != settings.expected_audience:
        return failure(
            "api.metadata",
            f"{url} describes {plain(str(document['resource']))}, and tokens are expected for "
            f"{settings.expected_audience}.",
            "Give the API the same AUTH_AGENT_AUDIENCE and AUTH_AGENT_BASE_URL as here.",
        )
    return ok("api.metadata", f"{url} names the server that issues tokens.")
