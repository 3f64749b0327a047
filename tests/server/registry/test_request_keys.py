"""Agents' signing keys: registered, published, removed, and kept apart from other keys."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from auth_agent.flow.fetching.fetcher import Fetched
from auth_agent.protocol.jose.private_key import thumbprint
from auth_agent.server.registry import agents, request_keys
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.storage.tables.parties import request_key
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.keys import JWT_BEARER, Pair
from tests.server.world import ISSUER, NOW, World


def _pair() -> Pair:
    return Pair("EdDSA")


def _kid(pair: Pair) -> str:
    return thumbprint(pair.jwk)


def _add(world: World, pair: Pair, who: Any = None) -> str:
    agent_id = (who or world.agent).agent_id
    kid = request_keys.add_request_key(world.database, agent_id, pair.pem, world.context.now())
    assert kid == _kid(pair)
    return kid


def _document(world: World, who: Any = None, **headers: str) -> Any:
    agent_id = (who or world.agent).agent_id
    return world.browser().get(f"/agents/{agent_id}", headers=headers)


def test_one_url_is_key_set_client_and_name(own_world: World) -> None:
    pair = _pair()
    _add(own_world, pair)
    answer = _document(own_world, origin="https://any.example")
    found = answer.json()
    (key,) = found["keys"]
    assert found["jwks"] == {"keys": [key]}
    assert {"kty", "crv", "x", "kid", "use"} == set(key), "no private member, no `alg` to misread"
    assert (key["x"], key["kid"]) == (pair.jwk["x"], _kid(pair))
    assert found["client_id"] == f"{ISSUER}/agents/{own_world.agent.agent_id}"
    assert "ann" not in answer.text.lower(), "the owner stays out of it"
    headers = answer.headers
    assert headers["content-type"] == "application/json"
    assert headers["access-control-allow-origin"] == "*"
    assert "set-cookie" not in headers
    assert "max-age=300" in headers["cache-control"]
    again = _document(own_world, **{"if-none-match": f'"x", W/{headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == headers["etag"]
    head = own_world.browser().head(f"/agents/{own_world.agent.agent_id}")
    assert (head.status_code, head.headers["etag"]) == (200, headers["etag"])


def test_an_agent_without_a_signing_key_is_like_an_unknown_one(world: World) -> None:
    known, unknown = _document(world), world.browser().get("/agents/agent_nobody")
    assert known.status_code == unknown.status_code == 404
    assert known.content == unknown.content


def test_removed_keys_and_disabled_agents_leave_an_empty_set(own_world: World) -> None:
    """Answers with an empty set, because a 404 would evict nothing from a website's cache."""
    first, second = _add(own_world, _pair()), _add(own_world, _pair())
    old = _document(own_world).headers["etag"]
    assert request_keys.remove_request_key(
        own_world.database, own_world.agent.agent_id, first, own_world.context.now()
    )
    answer = _document(own_world, **{"if-none-match": old})
    assert [key["kid"] for key in answer.json()["keys"]] == [second]
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    answer = _document(own_world)
    assert (answer.status_code, answer.json()["keys"]) == (200, [])
    assert answer.json()["jwks"] == {"keys": []}
    agents.enable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    assert [key["kid"] for key in _document(own_world).json()["keys"]] == [second]
    request_keys.remove_request_key(
        own_world.database, own_world.agent.agent_id, second, own_world.context.now()
    )
    answer = _document(own_world)
    assert (answer.status_code, answer.json()["keys"]) == (200, [])


def test_a_key_is_removed_once_and_by_its_agent_alone(own_world: World) -> None:
    pair = _pair()
    kid, now = _add(own_world, pair), own_world.context.now()
    for who, gone in ((own_world.rival, False), (own_world.agent, True), (own_world.agent, False)):
        removed = request_keys.remove_request_key(own_world.database, who.agent_id, kid, now)
        assert removed is gone
    with pytest.raises(RegistrationError, match="was removed"):
        _add(own_world, pair)


def test_a_key_has_one_agent_and_one_purpose(own_world: World) -> None:
    pair, agent_id = _pair(), own_world.agent.agent_id
    _add(own_world, pair)
    for who in (own_world.agent, own_world.rival):
        with pytest.raises(RegistrationError, match="registered already"):
            _add(own_world, pair, who)
    with pytest.raises(RegistrationError, match="signs its requests"):
        agents.change_agent(own_world.database, agent_id, NOW, jwks=pair.pem)
    with pytest.raises(RegistrationError, match="signs its requests"):
        agents.add_agent(own_world.database, "x@owner.example", now=NOW, public_key=pair.jwks)
    own = _pair()
    for text in (own.pem, own.jwks):
        with pytest.raises(RegistrationError, match="authenticates with this key"):
            agents.add_agent(
                own_world.database, "x@owner.example", now=NOW, public_key=own.pem, signing_key=text
            )
    agents.change_agent(own_world.database, own_world.careful.agent_id, NOW, jwks=own.jwks)
    with pytest.raises(RegistrationError, match="authenticates with this key"):
        _add(own_world, own)
    # A removed key does not become one to authenticate with, either.
    request_keys.remove_request_key(own_world.database, agent_id, _kid(pair), NOW)
    with pytest.raises(RegistrationError, match="signs its requests"):
        agents.change_agent(own_world.database, agent_id, NOW, jwks=pair.pem)
    assert [row["email"] for row in agents.list_agents(own_world.database)].count(
        "x@owner.example"
    ) == 0


def test_one_key_has_one_thumbprint_however_it_is_spelled(own_world: World) -> None:
    pair = _pair()
    x = pair.jwk["x"]
    # The last of 43 characters has two bits that no key uses.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    odd = x[:-1] + alphabet[alphabet.index(x[-1]) ^ 1]
    assert base64.urlsafe_b64decode(odd + "=") == base64.urlsafe_b64decode(x + "=")
    text = json.dumps({"kty": "OKP", "crv": "Ed25519", "x": odd, "kid": "mine", "alg": "EdDSA"})
    kid = request_keys.add_request_key(own_world.database, own_world.agent.agent_id, text, NOW)
    assert kid == _kid(pair)
    with pytest.raises(RegistrationError, match="signs its requests"):
        agents.change_agent(own_world.database, own_world.agent.agent_id, NOW, jwks=text)


def _private(pair: Pair) -> str:
    from cryptography.hazmat.primitives import serialization as form

    pem = pair.private.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    )
    return str(pem.decode())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lambda: _private(_pair()), "private key"),
        (lambda: json.dumps({**_pair().jwk, "d": "AAAA"}), "private"),
        (lambda: Pair("ES256").pem, "Ed25519"),
        (lambda: Pair("RS256").pem, "Ed25519"),
        (lambda: json.dumps({"keys": [_pair().jwk, _pair().jwk]}), "one signing key"),
        (lambda: json.dumps({**_pair().jwk, "use": "enc"}), "not for signatures"),
        (lambda: json.dumps({**_pair().jwk, "x": "AAAA"}), "cannot be read"),
        (lambda: "", "neither PEM nor JSON"),
    ],
)
def test_what_is_no_public_signing_key_is_refused(world: World, text: Any, words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        request_keys.add_request_key(world.database, world.agent.agent_id, text(), NOW)


def test_the_specifications_own_keys_are_refused(world: World) -> None:
    """Refuses the published test key of RFC 9421 B.1.4, with which anyone can sign."""
    text = '{"kty":"OKP","crv":"Ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}'
    with pytest.raises(RegistrationError, match="published"):
        request_keys.add_request_key(world.database, world.agent.agent_id, text, NOW)


def test_numbers_are_bounded(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_keys, "MOST", 2)
    monkeypatch.setattr(request_keys, "MOST_REMOVED", 3)
    kids = [_add(own_world, _pair()), _add(own_world, _pair())]
    with pytest.raises(RegistrationError, match="2 signing keys already"):
        _add(own_world, _pair())
    agent_id = own_world.agent.agent_id
    for _ in range(6):
        own_world.clock.forward(1)
        now = own_world.context.now()
        assert request_keys.remove_request_key(own_world.database, agent_id, kids.pop(0), now)
        kids.append(_add(own_world, _pair()))
    with own_world.database.read() as connection:
        rows = connection.execute(request_key.select()).all()
    assert len([row for row in rows if row.removed_at is None]) == 2
    assert len([row for row in rows if row.removed_at is not None]) <= 3


def test_every_change_is_in_the_audit(own_world: World) -> None:
    kid = _add(own_world, _pair())
    agent_id = own_world.agent.agent_id
    request_keys.remove_request_key(own_world.database, agent_id, kid, NOW)
    with own_world.database.read() as connection:
        rows = connection.execute(audit.select().where(audit.c.request_id == kid)).all()
    assert [(row.kind, row.outcome, row.agent_id) for row in rows] == [
        ("agent", "signing key added", agent_id),
        ("agent", "signing key removed", agent_id),
    ]


def test_an_unknown_agent_gets_no_key(world: World) -> None:
    assert request_keys.add_request_key(world.database, "agent_none", _pair().pem, NOW) is None


class _Documents:
    """Fetches from another server, which runs in this test."""

    def __init__(self) -> None:
        self.servers: dict[str, World] = {}

    def get(self, url: str) -> Fetched:
        issuer, _, agent_id = url.partition("/agents/")
        answer = self.servers[issuer].browser().get(f"/agents/{agent_id}")
        return Fetched(answer.status_code, answer.headers["content-type"], answer.content)

    def close(self) -> None:
        """Does nothing, because nothing is open."""


def test_the_document_is_a_client_at_another_server(own_world: World, build: Build) -> None:
    """Signs the agent in there as an app that proves itself with its signing key."""
    pair = _pair()
    _add(own_world, pair)
    client_id = f"{ISSUER}/agents/{own_world.agent.agent_id}"
    documents = _Documents()
    documents.servers[ISSUER] = own_world
    other = build(issuer="http://127.0.0.1:9999", client_documents=True, fetcher=documents)
    redirect = "http://127.0.0.1:5555/callback"
    code = _code(other, client_id=client_id, redirect_uri=redirect)
    form = {"client_id": client_id, "redirect_uri": redirect}
    refused = other.redeem(code, **form, auth=None)
    assert refused.json()["error"] == "invalid_client", "the document names a key"
    code = _code(other, client_id=client_id, redirect_uri=redirect)
    assertion = pair.assertion(client_id, other.clock(), aud="http://127.0.0.1:9999")
    signed = {"client_assertion_type": JWT_BEARER, "client_assertion": assertion}
    answer = other.redeem(code, **form, **signed, auth=None)
    assert answer.status_code == 200, answer.text


def _code(world: World, **changes: Any) -> str:
    browser = world.browser()
    browser.base_url = world.context.settings.issuer
    request_id = world.open(browser, **changes)
    url = "/api/agent/authenticate"
    body = {
        "request_id": request_id,
        "agent_id": world.agent.agent_id,
        "agent_secret": world.agent.agent_secret.reveal(),
        "model": "m",
    }
    assert browser.post(url, json=body).status_code == 200
    return str(world.poll(browser, request_id)["code"])


def test_its_own_server_does_not_take_the_document_for_a_client(own_world: World) -> None:
    """Refuses the signing key as a credential at the agent's own server."""
    _add(own_world, _pair())
    client_id = f"{ISSUER}/agents/{own_world.agent.agent_id}"
    request = own_world.request(client_id=client_id, redirect_uri="http://127.0.0.1:5/callback")
    answer = own_world.browser().get("/authorize", params=request)
    assert answer.status_code == 400
