"""Who takes part in a sign-in beside the agent: the client, and the APIs that it asks for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from auth_agent.server.context import Context
from auth_agent.server.registry.client import Client
from auth_agent.server.registry.resources import KnownResource, find_resources
from auth_agent.server.web.urls import return_origin


class Resource(NamedTuple):
    """An API that a sign-in asks for; one that is not registered is named by its URL."""

    url: str
    name: str


def find_client(context: Context, client_id: str, *, party: str) -> Client | None:
    """Returns the client with this id, registered or a document; Refusal as `ClientDocuments`."""
    described = context.documents.find(client_id, party)
    if described is not None:
        return described
    client = context.clients.find(client_id)
    # Documents may have been switched off since it was stored.
    return None if client is None or client.origin == "document" else client


def known_resources(context: Context, urls: Collection[str]) -> dict[str, KnownResource]:
    """Returns the known APIs among these URLs."""
    with context.database.read() as connection:
        return find_resources(connection, urls)


def resources_of(context: Context, sign_in: Any) -> list[Resource]:
    """Returns the APIs of a sign-in with their names; none if it is for the website itself."""
    # An agent that is its own client gets its token for this server.
    own = (return_origin(sign_in.redirect_uri), context.settings.issuer)
    urls = [url for url in sign_in.audience.split() if url not in own]
    known = known_resources(context, urls) if urls else {}
    return [Resource(url, known[url].name if url in known else url) for url in urls]
