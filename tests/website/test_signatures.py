"""Signed requests: who comes in by them, what they must cover, and what disturbs nothing."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth_agent import AuthError, Requirement, Settings, SettingsError, SignatureRefused
from auth_agent.flow.exchange import HttpResponse
from auth_agent.flow.fetching.refusals import FetchRefused, NoPlace
from auth_agent.protocol.signatures.agents import WELL_KNOWN
from auth_agent.protocol.signatures.fields import Component
from auth_agent.protocol.signatures.message import request_message
from auth_agent.protocol.signatures.sign import sign_message, sign_request
from auth_agent.website.entry import Entry
from auth_agent.website.recognition.signatures import directories as cache
from auth_agent.website.recognition.signatures import nonces, requests
from auth_agent.website.recognition.signatures.names import Names
from auth_agent.website.web.outcome import Pass, Reply
from tests.protocol.signatures.signing import new_key
from tests.website.browser import NAVIGATION, ValueVisit
from tests.website.browser import drive as perform
from tests.website.directories import Directories

AGENT = "https://bot.example"
KEY, OTHER = new_key(), new_key()


@pytest.fixture
def directories(server):
    server.directory = Directories()
    server.directory.publish(AGENT, KEY)
    return server.directory


@pytest.fixture
def site(make_site, directories):
    return make_site(protect="/api/*", signatures=AGENT)


class Signer:
    """An agent that signs each request anew; its nonces never repeat."""

    def __init__(self, site, clock, agent=AGENT, key=KEY):
        self.site, self.clock, self.agent, self.key = site, clock, agent, key
        self.count = 0

    def headers(self, method="GET", target="/api/orders", **options):
        self.count += 1
        origin = options.pop("origin", "https://shop.example")
        options = {"key": self.key, "agent": self.agent, "now": self.clock(), **options}
        options.setdefault("nonce", self.count.to_bytes(16, "big"))
        made = sign_request(method, f"{origin}{target}", **options)
        return {name.lower(): value for name, value in made}

    def call(self, method="GET", target="/api/orders", more=None, **options):
        headers = {**self.headers(method, target, **options), **(more or {})}
        return self.site.request(target, method=method, headers=headers)


@pytest.fixture
def signer(site, clock):
    return Signer(site, clock)


def refusal(reply, status=401):
    assert isinstance(reply, Reply), reply
    assert reply.status == status, reply.body
    content = json.loads(reply.body)
    if status == 401:
        assert content["error"] == "invalid_signature"
        return content["cause"]
    return content["error"]


def test_a_signed_request_comes_in_as_its_signature_agent(signer, clock):
    agent = signer.call(lifetime=300).agent
    assert (agent.issuer, agent.id, agent.via) == (AGENT, AGENT, "signature")
    assert (agent.scopes, agent.permissions, agent.email, agent.model) == ((), (), None, None)
    assert (agent.authenticated_at, agent.expires_at) == (clock(), clock() + 300)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PURGE"])
def test_a_change_comes_in_once(signer, method):
    headers = signer.headers(method)
    assert signer.site.request("/api/orders", method=method, headers=headers).agent.id == AGENT
    again = signer.site.request("/api/orders", method=method, headers=headers)
    assert refusal(again) == "nonce_used"
    assert signer.call(method).agent.id == AGENT


def test_reading_may_repeat_a_signature_and_costs_no_second_check(signer, monkeypatch):
    headers = signer.headers()
    first = signer.site.request("/api/orders", headers=headers)
    monkeypatch.setattr(requests, "verify_signature", pytest.fail)
    again = signer.site.request("/api/orders", headers=headers)
    assert again.agent is first.agent


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_relay_to_another_host_proves_nothing(signer, method):
    """Relays a request that was signed for evil.example, with every header of it."""
    headers = signer.headers(method, origin="https://evil.example")
    more = {"host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil"}
    reply = signer.site.request("/api/orders", method=method, headers={**headers, **more})
    assert refusal(reply) == "signature_wrong"


@pytest.mark.parametrize(
    ("target", "method"),
    [("/api/other", "GET"), ("/api/orders?x=1", "GET"), ("/api/orders", "PUT")],
)
def test_a_signature_opens_its_own_request_alone(signer, target, method):
    headers = signer.headers()
    assert signer.site.request("/api/orders", headers=headers).agent is not None
    reply = signer.site.request(target, method=method, headers=headers)
    assert refusal(reply) == "signature_wrong"


def test_a_remembered_signature_covers_its_headers(signer):
    headers = signer.headers(body=b"hello")
    assert signer.site.request("/api/orders", headers=headers).agent is not None
    other = {**headers, "content-digest": "sha-256=:AAAA:"}
    assert refusal(signer.site.request("/api/orders", headers=other)) == "signature_wrong"


def test_a_remembered_signature_ends_when_it_expires(signer, clock):
    headers = signer.headers(lifetime=100)
    clock.advance(99)
    assert signer.site.request("/api/orders", headers=headers).agent is not None
    clock.advance(1)
    assert refusal(signer.site.request("/api/orders", headers=headers)) == "signature_expired"


def test_a_remembered_signature_ends_with_its_key(signer, directories, clock):
    directories.publish(AGENT, KEY, **{"cache-control": "max-age=100"})
    headers = signer.headers(lifetime=3_600)
    assert signer.site.request("/api/orders", headers=headers).agent is not None
    directories.publish(AGENT, OTHER)
    clock.advance(101)
    assert refusal(signer.site.request("/api/orders", headers=headers)) == "key_unknown"


def test_a_key_that_is_removed_from_the_set_is_no_key_any_more(signer, directories, clock):
    assert signer.call().agent is not None
    directories.publish(AGENT)
    clock.advance(3_601)
    assert refusal(signer.call()) == "key_unknown"


def test_a_failed_fetch_evicts_nothing(signer, directories, clock):
    assert signer.call().agent is not None
    directories.fail(AGENT)
    clock.advance(7_200)
    assert signer.call().agent is not None
    clock.advance(86_400)
    assert refusal(signer.call(), 503) == "directory_unavailable"


@pytest.mark.parametrize(
    "trouble",
    [
        FetchRefused("the name has an address that is not public"),
        HttpResponse(500, {}, b""),
        HttpResponse(429, {}, b""),
        HttpResponse(404, {"content-type": "text/html"}, b"<p>"),
        HttpResponse(301, {"location": "https://other.example"}, b""),
        HttpResponse(200, {"content-type": "text/html"}, b"<p>"),
    ],
)
def test_what_cannot_be_verified_is_503_and_asked_again_soon(signer, directories, clock, trouble):
    directories.fail(AGENT, trouble)
    reply = signer.call()
    assert refusal(reply, 503).startswith("directory_")
    assert int(dict(reply.headers)["Retry-After"]) >= 5
    assert b"not public" not in reply.body
    signer.call()
    assert len(directories.asked) == 1
    directories.publish(AGENT, KEY)
    clock.advance(5)
    assert signer.call().agent.id == AGENT


def test_failures_are_asked_about_more_and_more_seldom(signer, directories, clock):
    directories.fail(AGENT)
    waits = []
    for _ in range(6):
        signer.call()
        before, begun = len(directories.asked), clock()
        while len(directories.asked) == before:
            clock.advance(1)
            signer.call()
        waits.append(clock() - begun)
    assert waits[0] == 5
    assert waits == sorted(waits)
    assert max(waits) <= 60


def test_retry_after_of_a_directory_is_respected(signer, directories, clock):
    directories.fail(AGENT, HttpResponse(503, {"retry-after": "200"}, b""))
    assert int(dict(signer.call().headers)["Retry-After"]) >= 200
    clock.advance(150)
    signer.call()
    assert len(directories.asked) == 1
    clock.advance(51)
    signer.call()
    assert len(directories.asked) == 2


def test_a_busy_fetcher_says_nothing_of_a_directory(signer, directories):
    directories.fail(AGENT, NoPlace("too many fetches at once"))
    assert refusal(signer.call(), 503) == "directories_busy"
    directories.publish(AGENT, KEY)
    assert signer.call().agent.id == AGENT


def test_an_unknown_key_is_looked_for_once_in_half_a_minute(signer, directories, clock):
    assert signer.call().agent is not None
    signer.key = OTHER
    assert [refusal(signer.call()) for _ in range(3)] == ["key_unknown"] * 3
    assert len(directories.asked) == 2
    directories.publish(AGENT, KEY, OTHER)
    clock.advance(30)
    assert signer.call().agent is not None
    assert len(directories.asked) == 3


def test_a_set_that_was_just_fetched_is_not_fetched_again_for_an_unknown_key(signer, directories):
    signer.key = OTHER
    assert refusal(signer.call()) == "key_unknown"
    assert len(directories.asked) == 1


def test_an_agent_is_believed_with_its_own_keys_only(make_site, directories, clock):
    """Lists two agents: the key of one signs nothing in the name of the other."""
    site = make_site(protect="/api/*", signatures=f"{AGENT},https://other.example")
    directories.publish("https://other.example", OTHER)
    assert Signer(site, clock, "https://other.example", OTHER).call().agent is not None
    assert Signer(site, clock).call().agent is not None
    assert refusal(Signer(site, clock, AGENT, OTHER).call()) == "key_unknown"


@pytest.mark.parametrize(
    "value",
    [AGENT, f"{AGENT}/", "https://BOT.example:443", f"{AGENT}{WELL_KNOWN}"],
)
def test_every_writing_of_an_origin_is_one_agent(site, clock, directories, value):
    agent = Signer(site, clock, value).call().agent
    assert agent.id == AGENT
    assert directories.asked == [f"{AGENT}{WELL_KNOWN}"]


def test_the_old_form_is_understood(signer):
    assert signer.call(form="string").agent.id == AGENT


def test_the_url_of_a_key_set_is_an_agent_of_its_own(make_site, directories, clock):
    site = make_site(protect="/api/*", signatures="https://id.acme.example/agents/*")
    name = "https://id.acme.example/agents/agent_7"
    directories.publish(f"{name}?v=2", KEY)
    agent = Signer(site, clock, f"{name}?v=2").call().agent
    assert (agent.issuer, agent.id) == ("https://id.acme.example", name)
    assert directories.asked == [f"{name}?v=2"]


@pytest.mark.parametrize(
    ("link", "counts"),
    [
        ("https://id.acme.example/keys.json?v=1", True),
        ("https://ID.acme.example:443/keys.json?v=1", True),
        ("https://other.example/keys.json", False),
        ("http://id.acme.example/keys.json?v=1", False),
        ("https://id.acme.example:8443/keys.json", False),
        ("https://x@id.acme.example/keys.json", False),
        (7, False),
    ],
)
def test_a_card_may_link_to_its_keys_on_its_own_origin(make_site, directories, clock, link, counts):
    name = "https://id.acme.example/agents/agent_7"
    site = make_site(protect="/api/*", signatures=name)
    directories.publish(name, KEY)
    keys = directories.answers.pop(name)
    for address in ("https://id.acme.example/keys.json?v=1", str(link)):
        directories.answers[address] = keys
    card = json.dumps({"client_id": name, "jwks_uri": link}).encode()
    directories.answers[name] = HttpResponse(200, {"content-type": "application/json"}, card)
    found = Signer(site, clock, name).call()
    if counts:
        assert found.agent.id == name
    else:
        assert refusal(found, 503) == "directory_unusable"
        assert directories.asked == [name]


@pytest.mark.parametrize(
    ("client_id", "counts"),
    [
        ("https://id.acme.example/agents/agent_7", True),
        ("https://ID.acme.example:443/agents/%61gent_7", True),
        ("https://id.acme.example/agents/agent_8", False),
        ("https://www.id.acme.example/agents/agent_7", False),
        ("agent_7", False),
        (7, False),
    ],
)
@pytest.mark.parametrize("form", ["keys", "jwks_uri"])
def test_the_card_of_another_agent_lends_no_second_name(
    make_site, directories, clock, client_id, counts, form
):
    """Allows for a server that answers for one agent at `/agents/x`, `/agents/x/`, and more."""
    name = "https://id.acme.example/agents/agent_7"
    site = make_site(protect="/api/*", signatures="*")
    directories.publish(name, KEY)
    keys = directories.answers[name]
    directories.answers["https://id.acme.example/keys"] = keys
    shown = json.loads(keys.body) if form == "keys" else {}
    if form == "jwks_uri":
        shown["jwks_uri"] = "https://id.acme.example/keys"
    card = json.dumps({**shown, "client_id": client_id}).encode()
    directories.answers[name] = HttpResponse(200, {"content-type": "application/json"}, card)
    found = Signer(site, clock, name).call()
    if counts:
        assert found.agent.id == name
    else:
        assert refusal(found, 503) == "directory_unusable"
        assert directories.asked == [name]


@pytest.mark.parametrize("listed", ["issuer", "https://auth.example/agents/*", "*"])
def test_an_agent_of_the_issuer_is_the_agent_of_a_sign_in(
    make_site, directories, clock, server, listed
):
    site = make_site(protect="/api/*", signatures=listed, deny_agents="agent_9")
    for name in ("agent_7", "agent_9"):
        directories.publish(f"{server.issuer}/agents/{name}", KEY)
    agent = Signer(site, clock, f"{server.issuer}/agents/agent_7").call().agent
    site.sign_in()
    assert (agent.issuer, agent.id) == (site.agent.issuer, site.agent.id)
    denied = Signer(site.twin(), clock, f"{server.issuer}/agents/agent_9").call()
    assert json.loads(denied.body)["error"] == "login_required"  # as every denied agent


def test_issuer_stands_for_the_agents_of_the_issuer_alone(make_site, directories, clock, server):
    site = make_site(protect="/api/*", signatures="issuer")
    assert refusal(Signer(site, clock).call()) == "agent_not_listed"
    directories.publish(server.issuer, KEY)
    assert refusal(Signer(site, clock, server.issuer).call()) == "agent_not_listed"


def test_nothing_is_fetched_for_agents_that_are_not_listed(site, directories, clock):
    stranger = Signer(site, clock, "https://stranger.example", OTHER)
    reply = stranger.call()
    assert refusal(reply) == "agent_not_listed"
    assert json.loads(reply.body)["login_url"].startswith("https://shop.example/auth-agent/login")
    assert directories.asked == []


def test_an_agent_that_is_not_listed_disturbs_nothing(site, directories, clock, server):
    stranger = Signer(site, clock, "https://stranger.example", OTHER)
    assert stranger.call(target="/") == Pass(None)
    # A person's browser that signs everything goes to the sign-in, and comes back.
    page = stranger.call(more=NAVIGATION)
    assert page.status == 303
    site.sign_in()
    agent = stranger.call(more=NAVIGATION).agent
    assert (agent.via, agent.id) == ("session", "agent_7")
    bearer = {"authorization": f"Bearer {server.access_token()}"}
    assert stranger.call(more=bearer).agent.via == "bearer"


def test_signatures_for_others_are_nobodys_business(site):
    headers = {
        "signature-input": 'cdn=("@method");created=1;keyid="k";alg="hmac-sha256";tag="cdn"',
        "signature": "cdn=:AAAA:",
    }
    assert site.request("/", headers=headers) == Pass(None)
    assert site.request("/api/x", headers={**NAVIGATION, **headers}).status == 303
    assert refusal(site.request("/api/x", headers=headers)) == "tag_missing"


def test_the_first_signature_that_verifies_counts_and_the_other_lends_no_name(
    make_site, directories, clock
):
    site = make_site(protect="/api/*", signatures="*")
    directories.publish("https://evil.example", OTHER)
    good = Signer(site, clock).headers()
    forged = Signer(site, clock, "https://evil.example", KEY).headers()  # not the key of evil
    both = {
        "signature-agent": f"{forged['signature-agent']}, "
        + good["signature-agent"].replace("sig1", "sig2"),
        "signature-input": forged["signature-input"],
        "signature": forged["signature"],
    }
    made = sign_both(good, both)
    assert site.request("/api/orders", headers=made).agent.id == AGENT
    assert refusal(site.request("/api/orders", headers=both)) == "key_unknown"


def sign_both(good, both):
    """Adds the good signature under another label; its label is not part of what is signed."""
    inner = good["signature-input"].partition("=")[2]
    signed = inner.replace(';key="sig1"', ';key="sig2"')
    from auth_agent.protocol.signatures.base import signature_base
    from auth_agent.protocol.signatures.fields import read_signatures, write
    from auth_agent.protocol.signatures.message import request_message

    message = request_message("GET", "https://shop.example/api/orders", both.items())
    (one,) = read_signatures(f"sig2={signed}", "sig2=:AAAA:")
    value = write({"sig2": (KEY.key.sign(signature_base(message, one)), {})})
    return {
        **both,
        "signature-input": f"{both['signature-input']}, sig2={signed}",
        "signature": f"{both['signature']}, {value}",
    }


def test_without_the_setting_nothing_is_looked_at(make_site, directories, clock):
    site = make_site(protect="/api/*")

    class Deaf(ValueVisit):
        def header(self, name):
            assert not name.startswith("signature")
            return super().header(name)

    outcome = site.relying_party.enter(Deaf("GET", "/x", Signer(site, clock).headers()))
    assert outcome == Pass(None)
    reply = Signer(site, clock).call()
    assert json.loads(reply.body)["error"] == "login_required"
    assert "Accept-Signature" not in dict(reply.headers)


def test_a_token_counts_before_everything_and_a_bad_one_is_no_signature(signer, server):
    good = {"authorization": f"Bearer {server.access_token()}"}
    assert signer.call(more=good).agent.via == "bearer"
    bad = signer.call(more={"authorization": "Bearer nonsense"})
    assert json.loads(bad.body)["error"] == "invalid_token"
    two = signer.call(more={"authorization": "Bearer a, Bearer b"})
    assert (two.status, json.loads(two.body)["error"]) == (400, "invalid_request")
    assert signer.call(more={"authorization": "Basic eDp5"}).agent.via == "signature"


def test_a_good_session_counts_before_a_signature(signer, site):
    site.sign_in()
    assert signer.call().agent.via == "session"
    assert signer.call(key=OTHER).agent.via == "session"
    site.cookies = dict.fromkeys(site.cookies, "damaged")
    assert signer.call().agent.via == "signature"


@pytest.mark.parametrize(
    ("method", "covered"),
    [
        ("GET", '("@authority" "signature-agent";key="sig1")'),
        ("POST", '("@method" "@authority" "@path" "signature-agent";key="sig1")'),
    ],
)
@pytest.mark.parametrize("signs", [False, True])
def test_a_401_says_what_a_signature_has_to_cover(signer, site, method, covered, signs):
    headers = signer.headers(method, key=OTHER) if signs else {"accept": "application/json"}
    reply = site.request("/api/orders", method=method, headers=headers)
    offered = dict(reply.headers)["Accept-Signature"]
    assert offered == f'sig1={covered};created;expires;tag="web-bot-auth"'
    assert dict(reply.headers)["WWW-Authenticate"].startswith("Bearer ")
    assert "error=" not in dict(reply.headers)["WWW-Authenticate"]


def test_a_page_says_why_a_signature_does_not_count(signer):
    reply = signer.call(key=OTHER, more=NAVIGATION)
    assert reply.status == 401
    assert b"key_unknown" in reply.body
    assert b"/auth-agent/login?next=/api/orders" in reply.body


def test_a_broken_signature_is_401_where_an_agent_is_needed_and_nothing_elsewhere(signer):
    broken = {**signer.headers(), "signature": "sig1=:br!ken:"}
    assert signer.site.request("/", headers=broken) == Pass(None)
    assert refusal(signer.site.request("/api/x", headers=broken)) == "signature_malformed"
    huge = {**broken, "signature-agent": "x" * 20_000}
    assert refusal(signer.site.request("/api/x", headers=huge)) == "signature_malformed"


def test_a_change_needs_more_than_the_authority(signer):
    from auth_agent.protocol.signatures.fields import Component
    from auth_agent.protocol.signatures.message import request_message
    from auth_agent.protocol.signatures.sign import sign_message

    now = int(signer.clock())
    named = ("Signature-Agent", f'a="{AGENT}"')
    message = request_message("POST", "https://shop.example/api/orders", [named])
    covered = [Component("@authority"), Component("signature-agent", {"key": "a"})]
    params = {"created": now, "expires": now + 60, "keyid": KEY.kid, "tag": "web-bot-auth"}
    made = [named, *sign_message(message, covered, params, key=KEY)]
    headers = {name.lower(): value for name, value in made}
    assert signer.site.request("/api/anything", headers=headers).agent.id == AGENT
    reply = signer.site.request("/api/orders", method="POST", headers=headers)
    assert refusal(reply) == "coverage_missing"


def test_a_forgery_uses_up_no_nonce(signer):
    forged = signer.call("POST", nonce=b"x" * 16, key=OTHER)
    assert refusal(forged) == "key_unknown"
    headers = signer.headers("POST", nonce=b"x" * 16)
    tampered = {**headers, "signature": signer.headers("POST")["signature"]}
    reply = signer.site.request("/api/orders", method="POST", headers=tampered)
    assert refusal(reply) == "signature_wrong"
    assert signer.site.request("/api/orders", method="POST", headers=headers).agent is not None


def test_a_nonce_belongs_to_one_agent(make_site, directories, clock):
    site = make_site(protect="/api/*", signatures="*")
    directories.publish("https://other.example", OTHER)
    for agent, key in ((AGENT, KEY), ("https://other.example", OTHER)):
        assert Signer(site, clock, agent, key).call("POST", nonce=b"n" * 16).agent.id == agent


def test_a_nonce_is_remembered_for_as_long_as_its_signature_could_count(signer, clock):
    headers = signer.headers("POST", now=clock() + 60, lifetime=3_600)
    assert signer.site.request("/api/orders", method="POST", headers=headers).agent is not None
    for _ in range(12):
        clock.advance(10)
        reply = signer.site.request("/api/orders", method="POST", headers=headers)
        assert refusal(reply) == "nonce_used"
    clock.advance(1)
    reply = signer.site.request("/api/orders", method="POST", headers=headers)
    assert refusal(reply) == "signature_too_old"


def test_a_full_memory_of_nonces_refuses_and_forgets_none(signer, clock, monkeypatch):
    monkeypatch.setattr(nonces, "MOST_OF_ONE", 2)
    first = signer.headers("POST")
    assert signer.site.request("/api/orders", method="POST", headers=first).agent is not None
    assert signer.call("POST").agent is not None
    assert refusal(signer.call("POST"), 503) == "nonces_full"
    again = signer.site.request("/api/orders", method="POST", headers=first)
    assert refusal(again) == "nonce_used"
    clock.advance(nonces.KEPT_SECONDS)
    assert signer.call("POST").agent is not None


def test_one_host_with_many_names_leaves_room_for_others(
    make_site, directories, clock, monkeypatch
):
    monkeypatch.setattr(nonces, "MOST_OF_HOST", 3)
    site = make_site(protect="/api/*", signatures="*")
    for number in range(4):
        agent = f"https://many.example/{number}"
        directories.publish(agent, OTHER)
        outcome = Signer(site, clock, agent, OTHER).call("POST")
        if number < 3:
            assert outcome.agent.id == agent
        else:
            assert refusal(outcome, 503) == "nonces_full"
    assert Signer(site, clock).call("POST").agent.id == AGENT
    clock.advance(nonces.KEPT_SECONDS)
    assert Signer(site, clock, "https://many.example/0", OTHER).call("POST").agent is not None


def test_one_host_with_many_names_takes_the_places_of_its_own_keys(
    make_site, directories, clock, monkeypatch
):
    monkeypatch.setattr(cache, "MOST", 4)
    site = make_site(protect="/api/*", signatures="*")
    honest = Signer(site, clock)
    assert honest.call().agent.id == AGENT
    for number in range(9):
        clock.advance(1)
        agent = f"https://many.example/{number}"
        directories.publish(agent, OTHER)
        assert Signer(site, clock, agent, OTHER).call().agent.id == agent
    assert honest.call().agent.id == AGENT
    assert directories.asked.count(f"{AGENT}{WELL_KNOWN}") == 1


def test_the_agents_of_the_own_server_are_fetched_in_places_of_their_own(
    make_site, directories, clock, server
):
    site = make_site(protect="/api/*", signatures=f"issuer,{AGENT}")
    asked = []

    def seen(effect):
        asked.append((effect.url, effect.trusted))
        return directories(effect)

    server.directory = seen
    directories.publish(f"{server.issuer}/agents/agent_7", KEY)
    assert Signer(site, clock, f"{server.issuer}/agents/agent_7").call().agent.id == "agent_7"
    assert Signer(site, clock).call().agent.id == AGENT
    assert asked == [(f"{server.issuer}/agents/agent_7", True), (f"{AGENT}{WELL_KNOWN}", False)]


def test_what_is_remembered_of_a_signature_is_small(signer, monkeypatch):
    """Keeps neither a large covered header nor a large field in memory."""
    headers = signer.headers(body=b"x" * 10_000)
    assert signer.site.request("/api/orders", headers=headers).agent is not None
    memory = signer.site.relying_party._recogniser._signed._signatures._known
    (known,) = memory.values()
    assert (known.covered, len(known.values)) == (("content-digest",), 32)
    memory.clear()
    monkeypatch.setattr(requests, "MAX_KEPT", 300)
    assert signer.call(nonce=b"n" * 180).agent is not None
    assert not memory


def test_memory_is_bounded(make_site, directories, clock, monkeypatch):
    monkeypatch.setattr(cache, "MOST", 2)
    monkeypatch.setattr(requests, "MAX_REMEMBERED", 3)
    site = make_site(protect="/api/*", signatures="*")
    for number in range(5):
        agent = f"https://n{number}.example"
        directories.publish(agent, KEY)
        assert Signer(site, clock, agent).call().agent is not None
    signatures = site.relying_party._recogniser._signed._signatures
    assert len(signatures._known) == 3
    assert len(signatures._directories._known) == 2


def flood(site, clock, issuer, count=300):
    """Sends signatures in the name of agents that do not exist."""
    for number in range(count):
        Signer(site, clock, f"{issuer}/agents/nobody_{number}", OTHER).call()


def test_names_without_keys_take_no_place_of_an_agents_keys(make_site, directories, clock, server):
    site = make_site(protect="/api/*", signatures="issuer")
    honest = Signer(site, clock, f"{server.issuer}/agents/agent_7")
    directories.publish(honest.agent, KEY)
    headers = honest.headers()
    assert site.request("/api/orders", headers=headers).agent.id == "agent_7"
    flood(site, clock, server.issuer)
    asked = len(directories.asked)
    assert site.request("/api/orders", headers=headers).agent.id == "agent_7"
    assert honest.call("POST").agent.id == "agent_7"
    assert len(directories.asked) == asked
    assert len(site.relying_party._recogniser._signed._signatures._directories._new) <= 256


def test_a_directory_that_remembered_signatures_use_is_no_unused_one(
    make_site, directories, clock, monkeypatch
):
    monkeypatch.setattr(cache, "MOST", 2)
    site = make_site(protect="/api/*", signatures="*")
    honest = Signer(site, clock)
    headers = honest.headers()
    for number in range(4):
        clock.advance(1)
        assert site.request("/api/orders", headers=headers).agent.id == AGENT
        clock.advance(1)
        agent = f"https://n{number}.example"
        directories.publish(agent, KEY)
        assert Signer(site, clock, agent).call().agent is not None
    assert directories.asked.count(f"{AGENT}{WELL_KNOWN}") == 1


def test_no_flood_of_new_names_keeps_a_removed_key_alive(make_site, directories, clock, server):
    """Renews keys before it fetches new names: the fetcher limits the requests to a host."""
    site = make_site(protect="/api/*", signatures="issuer")
    thief = Signer(site, clock, f"{server.issuer}/agents/agent_7")
    directories.publish(thief.agent, KEY, **{"cache-control": "max-age=300"})
    assert thief.call().agent.id == "agent_7"
    directories.publish(thief.agent, **{"cache-control": "max-age=300"})
    renewals = []

    def spent(effect):
        """Uses up all the fetches that strangers may cause in this minute."""
        renewals.append(effect.renews)
        if not effect.renews:
            raise NoPlace("too many requests went to this host in the last minute")
        return directories(effect)

    server.directory = spent
    flood(site, clock, server.issuer, 3)
    Signer(site, clock, thief.agent, OTHER).call()  # an unknown key of a known agent
    assert renewals == [False] * 4
    clock.advance(301)
    assert refusal(thief.call()) == "key_unknown"


@pytest.mark.parametrize("value", ["agent_7?n=1", "%61gent_7", "agent%5F7?", "agent_7?v=a%20b"])
def test_an_agent_of_the_issuer_has_one_address(make_site, directories, clock, server, value):
    site = make_site(protect="/api/*", signatures="issuer")
    directories.publish(f"{server.issuer}/agents/agent_7", KEY)
    for spelling in ("agent_7", value):
        agent = Signer(site, clock, f"{server.issuer}/agents/{spelling}").call().agent
        assert agent.id == "agent_7"
    assert directories.asked == [f"{server.issuer}/agents/agent_7"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("origin", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil"}])
def test_another_websites_page_cannot_act_through_a_browser_that_signs(signer, method, origin):
    reply = signer.call(method, more=origin)
    assert refusal(reply, 403) == "access_denied"
    assert signer.call(method, more={"sec-fetch-site": "same-origin"}).agent is not None


def test_what_holds_for_every_agent_holds_for_signers(make_site, directories, clock, server):
    seen = []
    site = make_site(protect="/api/*", signatures="*", deny_agents="https://denied.*")
    directories.publish("https://denied.example", OTHER)
    denied = Signer(site, clock, "https://denied.example", OTHER)
    assert denied.call().status == 401
    assert denied.call(target="/").agent is None
    site.relying_party._admission._is_welcome = lambda agent: seen.append(agent) or True
    agent = Signer(site, clock).call().agent
    assert [one.via for one in seen] == ["signature"]
    entry = Entry(site.relying_party, ValueVisit("GET", "/", {}), Pass(agent))
    assert entry.require(Requirement(via=("signature",))) is None
    assert entry.require(Requirement(via=("session", "bearer"))).status == 403
    scope = entry.require(Requirement(scopes=("a",)))
    assert json.loads(scope.body)["error"] == "insufficient_scope"
    assert entry.require(Requirement(agents=("https://bot.*",))) is None
    assert entry.require(Requirement(verified_email=True)).status == 403
    explained = site.relying_party.explain(agent, Requirement(via=("dpop",)))
    assert (explained.admitted, explained.rule) == (False, "via")
    # No server was asked, and so no owner.
    assert not site.relying_party.explain(agent, Requirement(approved=True)).admitted


def test_a_refused_signature_is_one_event(signer, caplog):
    caplog.set_level("INFO", "auth_agent")
    signer.call(key=OTHER)
    (record,) = [one for one in caplog.records if one.name == "auth_agent"]
    assert record.auth_agent == {"event": "refused", "cause": "key_unknown"}


def test_operators_learn_which_directory_fails_and_why(signer, directories, caplog):
    directories.fail(AGENT, FetchRefused("the name has an address that is not public"))
    caplog.set_level("WARNING", "auth_agent")
    for _ in range(3):
        signer.call()
    (record,) = [one for one in caplog.records if one.name == "auth_agent"]
    assert record.auth_agent["event"] == "directory_failed"
    assert record.auth_agent["signer"] == AGENT
    assert "not public" in record.auth_agent["detail"]


def handshake(site, headers):
    outcome = site.relying_party.enter_socket(ValueVisit("GET", "/api/orders", headers))
    return outcome if isinstance(outcome, (Pass, Reply)) else perform(outcome, site.server)


def test_a_websocket_can_be_opened_by_a_signature(signer):
    assert handshake(signer.site, signer.headers()).agent.via == "signature"
    own = {**signer.headers(), "origin": "https://shop.example"}
    assert handshake(signer.site, own).agent.via == "signature"
    foreign = {**signer.headers(), "origin": "https://evil.example"}
    reply = handshake(signer.site, foreign)
    assert (reply.status, json.loads(reply.body)["error"]) == (401, "origin_required")
    assert handshake(signer.site, {}).status == 401
    cookie = {**signer.headers(), "cookie": "; ".join(f"{n}=x" for n in _cookie_names(signer))}
    assert handshake(signer.site, cookie).agent.via == "signature"


@pytest.mark.parametrize("origin", [{}, {"origin": "https://shop.example"}])
def test_a_websocket_is_opened_as_a_change_is_made(signer, clock, origin):
    """Through it anything may be changed, so a signature that was recorded opens none."""
    recorded = signer.headers(lifetime=3_600)
    assert signer.site.request("/api/orders", headers=recorded).agent is not None
    headers = {**signer.headers(lifetime=3_600), **origin}
    assert handshake(signer.site, headers).agent.via == "signature"
    assert refusal(handshake(signer.site, headers)) == "nonce_used"
    clock.advance(61)
    assert signer.site.request("/api/orders", headers=recorded).agent is not None, "reading"
    assert refusal(handshake(signer.site, {**recorded, **origin})) == "signature_too_old"
    reply = handshake(signer.site, origin)
    assert '"@method" "@authority" "@path"' in dict(reply.headers)["Accept-Signature"]


@pytest.mark.parametrize("covered", ["@path", "@query", "@target-uri", "@request-target"])
def test_the_query_of_a_change_is_covered(signer, covered):
    """Else a relay could choose what is changed: `DELETE /orders?id=8`."""
    made = request_message(
        "DELETE", "https://shop.example/api/orders?id=7", [("Signature-Agent", f'sig1="{AGENT}"')]
    )
    names = dict.fromkeys(["@method", "@authority", "@path", covered])
    components = [*map(Component, names), Component("signature-agent", {"key": "sig1"})]
    now = int(signer.clock())
    params = {
        "created": now,
        "expires": now + 60,
        "keyid": KEY.kid,
        "nonce": "n" * 22,
        "tag": "web-bot-auth",
    }
    pairs = sign_message(made, components, params, key=KEY)
    headers = {
        "signature-agent": f'sig1="{AGENT}"',
        **{name.lower(): value for name, value in pairs},
    }
    outcome = signer.site.request("/api/orders?id=7", method="DELETE", headers=headers)
    if covered != "@path":
        assert outcome.agent.id == AGENT
        return
    assert refusal(outcome) == "coverage_missing"
    assert '"@query"' in dict(outcome.headers)["Accept-Signature"]


def _cookie_names(signer):
    return signer.site.relying_party._recogniser._cookie_names


def test_an_api_without_sign_in_takes_signatures(make_site, directories, clock):
    site = make_site(protect="/api/*", signatures=AGENT, sign_in=False)
    assert Signer(site, clock).call().agent.id == AGENT
    reply = Signer(site, clock, key=OTHER).call(more=NAVIGATION)
    assert refusal(reply) == "key_unknown"
    assert "login_url" not in json.loads(reply.body)


@pytest.mark.parametrize("name", ["chatgpt.com", "https://a.example/x?y", "http://a.example"])
def test_a_pattern_that_no_agent_has_is_a_mistake_in_the_settings(name, make_site):
    with pytest.raises(SettingsError, match="AUTH_AGENT_SIGNATURES pattern"):
        make_site(signatures=name)


def test_the_package_is_named_if_it_is_missing(make_site, monkeypatch):
    from auth_agent.website.config import checks

    monkeypatch.setattr(checks, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"pip install 'auth-agent-kit\[signatures\]'"):
        make_site(signatures="*")


def test_loopback_agents_are_for_a_loopback_website():
    settings = {"issuer": "http://127.0.0.1:1", "client_id": "c", "client_secret": "s"}
    secret = {"secret": "x" * 32, "signatures": "*"}
    here = Names(Settings(**settings, **secret, base_url="http://localhost:8000"))
    assert here.read("http://127.0.0.1:9/agents/a").id == "http://127.0.0.1:9/agents/a"
    public = Names(Settings(**settings, **secret, base_url="https://shop.example"))
    with pytest.raises(SignatureRefused, match="https"):
        public.read("http://127.0.0.1:9/agents/a")


def test_a_flood_of_signatures_ends_in_refusals(make_site, directories, clock):
    site = make_site(protect="/api/*", signatures="*")
    for number in range(300):
        signer = Signer(site, clock, f"https://n{number}.example", OTHER)
        assert signer.call().status in (401, 503)
    assert len(directories.asked) == 300


def test_an_agent_of_a_signature_is_a_plain_value(signer):
    agent = signer.call().agent
    assert msgspec.json.decode(msgspec.json.encode(agent))["via"] == "signature"
    assert issubclass(SignatureRefused, AuthError)


FIELD = st.text(st.characters(max_codepoint=255), max_size=200) | st.lists(
    st.sampled_from(
        [
            *('sig1=("@method" "@authority" "signature-agent";key="sig1")', ";created=1800000000"),
            *(";expires=1800000050", ';keyid="k"', ';tag="web-bot-auth"', ';nonce="n"', ", "),
            *('sig1="https://bot.example"', "sig1=:AAAA:", ";x=@1", '"', "(", ")", "\xff", "\n"),
        ]
    ),
    max_size=12,
).map("".join)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(["GET", "POST"]), FIELD, FIELD, FIELD)
def test_no_header_gets_in_or_breaks_anything(site, method, inputs, signature, agent):
    headers = {"signature-input": inputs, "signature": signature, "signature-agent": agent}
    reply = site.request("/api/orders", method=method, headers=headers)
    assert reply.status in (401, 503)
    assert site.request("/", method=method, headers=headers) == Pass(None)
