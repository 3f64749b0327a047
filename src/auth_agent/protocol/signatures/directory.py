"""The key directory of a signature agent: the request for it, and what its answer says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from auth_agent.errors import ServerUnavailable, SignatureRefused
from auth_agent.flow.documents import read_object
from auth_agent.flow.effects import Flow, fetch
from auth_agent.flow.exchange import HttpResponse
from auth_agent.protocol.signatures.agents import MAX_ADDRESS, SignatureAgent, read_agent
from auth_agent.protocol.signatures.keys import VerifyingKey, read_key
from auth_agent.url import normal_origin, url_problem

MEDIA_TYPE = "application/http-message-signatures-directory+json"
MAX_KEYS = 100
MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 60, 86_400, 3_600

_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")
_DIRECTIVE = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?(\d{1,9})")


class KeyDirectory(msgspec.Struct, frozen=True):
    """The keys of one agent, by thumbprint, as its directory published them."""

    keys: Mapping[str, VerifyingKey]

    def find(self, keyid: str, now: float) -> VerifyingKey | None:
        """Returns the key if it may verify at this time."""
        key = self.keys.get(keyid)
        return key if key is not None and key.not_before <= now < key.not_after else None


def accept_of(agent: SignatureAgent) -> str:
    """Returns the `Accept` of the request for the agent's keys."""
    if agent.is_directory:
        return MEDIA_TYPE
    return f"{MEDIA_TYPE}, application/jwk-set+json, application/json"


def fetch_directory(
    agent: SignatureAgent, *, loopback_allowed: bool, renews: bool = False, trusted: bool = False
) -> Flow[HttpResponse]:
    """Returns the answer that holds the agent's keys; raises `FetchRefused`.

    A card without keys of its own may link to them (`jwks_uri`) on its own origin.
    """
    accept = accept_of(agent)
    options = {"loopback_allowed": loopback_allowed, "renews": renews, "trusted": trusted}
    response = yield from fetch(agent.address, accept, **options)
    link = _linked_keys(response, agent)
    if link is not None:
        response = yield from fetch(link, accept, **options)
    return response


def parse_directory(response: HttpResponse, agent: SignatureAgent) -> KeyDirectory:
    """Returns the usable keys; raises `ServerUnavailable` if this is no key set at all.

    A set without a usable key is an answer, too: it says that there is none any more.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    fits = kind == MEDIA_TYPE if agent.is_directory else _JSON.fullmatch(kind)
    if response.status != 200 or not fits:
        raise _no_directory(
            f"answers {response.status}, or with another media type than that of a key set"
        )
    document = _document(response)
    if document is not None and _is_of_another(document, agent):
        raise _no_directory(
            "belongs to another agent: its client_id is not the URL in Signature-Agent"
        )
    listed = _listed(document)
    if listed is None:
        raise _no_directory("holds no key set")
    found = (_key(entry, agent) for entry in listed[:MAX_KEYS])
    return KeyDirectory({key.keyid: key for key in found if key is not None})


def directory_seconds(headers: Mapping[str, str]) -> int:
    """Returns how long the keys may be used: HTTP's rules, between a minute and a day."""
    control = headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return MIN_SECONDS
    found = _DIRECTIVE.search(control)
    wanted = int(found[1]) if found else _until_expires(headers)
    age = headers.get("age", "")
    if age.isdecimal() and len(age) < 10:
        wanted -= int(age)
    return min(max(wanted, MIN_SECONDS), MAX_SECONDS)


def _until_expires(headers: Mapping[str, str]) -> int:
    try:
        expires = parsedate_to_datetime(headers["expires"])
        date = parsedate_to_datetime(headers["date"])
        return int((expires - date).total_seconds())
    except KeyError:
        return DEFAULT_SECONDS
    except (ValueError, TypeError, OverflowError):
        return MIN_SECONDS  # RFC 9111 5.3: an invalid date is in the past


def _document(response: HttpResponse) -> dict[str, Any] | None:
    try:
        return read_object(response.body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return None


def _linked_keys(response: HttpResponse, agent: SignatureAgent) -> str | None:
    if response.status != 200 or agent.is_directory:
        return None
    document = _document(response)
    link = (document or {}).get("jwks_uri")
    if _listed(document) is not None or not isinstance(link, str) or len(link) > MAX_ADDRESS:
        return None
    if document is not None and _is_of_another(document, agent):
        return None
    is_own = url_problem(link, query=True) is None and normal_origin(link) == agent.origin
    return link if is_own else None


def _is_of_another(document: Mapping[str, Any], agent: SignatureAgent) -> bool:
    """Returns True for a card that names another URL as its own (`client_id`).

    A server may answer for one agent at many URLs; each would be an identity of its own, which no
    rule of the website names.
    """
    client_id = document.get("client_id")
    if agent.is_directory or client_id is None:
        return False
    try:
        return read_agent(str(client_id), loopback_allowed=True).name != agent.name
    except SignatureRefused:
        return True


def _listed(document: Mapping[str, Any] | None) -> list[Any] | None:
    """Returns the keys; a card has them in `keys`, and again in `jwks` for OAuth servers."""
    if document is None:
        return None
    inner = document.get("jwks")
    for place in (document.get("keys"), inner.get("keys") if isinstance(inner, dict) else None):
        if isinstance(place, list):
            return place
    return None


def _key(entry: object, agent: SignatureAgent) -> VerifyingKey | None:
    key = read_key(entry) if isinstance(entry, dict) else None
    if key is None:
        return None
    kid = entry.get("kid") if isinstance(entry, dict) else None
    if agent.is_directory and kid not in (None, key.keyid):  # a MUST of the profile
        return None
    return key


def _no_directory(what: str) -> ServerUnavailable:
    description = f"The key directory of the signature's agent {what}."
    return ServerUnavailable(description, code="directory_unusable")


def key_set(keys: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the JSON of a directory that publishes these public keys."""
    return {"keys": [{**key, "use": "sig"} for key in keys]}
