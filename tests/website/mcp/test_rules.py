"""Rules and the memory of sessions, without a server."""

from __future__ import annotations

import json

import pytest

from auth_agent import RelyingParty, Requirement
from auth_agent.testing import make_agent, test_settings
from auth_agent.website.entry import Entry
from auth_agent.website.mcp import sessions
from auth_agent.website.mcp.door import Door, together
from auth_agent.website.mcp.message import Malformed, Target, read_messages
from auth_agent.website.mcp.routing import read_routing
from auth_agent.website.mcp.rules import Rules
from auth_agent.website.mcp.sessions import REMEMBERED, SessionOwners
from auth_agent.website.web.outcome import Pass
from tests.website.browser import ValueVisit

WRITE, READ = Requirement(scopes="write"), Requirement(scopes="read", models="claude-*")


def test_every_pattern_that_matches_must_hold():
    rules = Rules(tools={"delete_*": WRITE, "*_invoice": READ})
    found = list(rules.requirements([Target("tools", "delete_invoice")]))
    assert found == [Requirement(), WRITE, READ]
    assert list(rules.requirements([Target("tools", "DELETE_x")])) == [Requirement()]
    assert list(rules.requirements([Target("prompts", "delete_x")])) == [Requirement()]
    long = Target("tools", "delete_" + "x" * 10_000)
    assert WRITE in list(rules.requirements([long]))


@pytest.mark.parametrize(
    "uri",
    ["inv\toice://1", "invoice:/\n/1", "\0 invoice://1", "inv%09oice://1", "\x1fINVOICE://1\r"],
)
def test_a_uri_matches_without_what_readers_of_urls_leave_out(uri):
    rules = Rules(resources={"invoice://*": Requirement(scopes=["a"])})
    needed = [one for one in rules.requirements([Target("resources", uri)]) if one.scopes]
    assert len(needed) == 1


def test_a_challenge_names_the_scopes_of_all_of_them():
    first, *others = together((Requirement(), WRITE, READ))
    assert first == Requirement(scopes=("write", "read"))
    assert READ in others


@pytest.mark.parametrize("wrong", [{"a": ["write"]}, {"a": "write"}, {1: WRITE}, {"a": None}])
def test_what_is_no_requirement_is_refused_at_the_start(wrong):
    with pytest.raises(TypeError, match="tools maps each pattern"):
        Rules(tools=wrong)


def test_sessions_are_bounded_and_never_change_hands():
    owners, first, second = SessionOwners(), make_agent(id="agent_1"), make_agent(id="agent_2")
    owners.open("s", first)
    owners.open("s", second)
    assert owners.belongs("s", first)
    assert not owners.belongs("s", second)
    assert not owners.belongs("s", make_agent(id="agent_1", issuer="https://other.example"))
    assert not owners.belongs("unknown", first)
    assert not owners.belongs("unknown", None)
    for number in range(REMEMBERED):
        owners.open(f"s{number}", second)
    assert not owners.belongs("s", first), "the oldest is forgotten, and then belongs to nobody"
    owners.open("x" * 1_000, first)
    assert not owners.belongs("x" * 1_000, first)


def test_an_agent_with_very_many_sessions_opens_no_more(monkeypatch, clock):
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 2)
    owners, busy, other = SessionOwners(clock), make_agent(id="busy"), make_agent(id="other")
    for session_id in ("a", "b"):
        assert owners.may_open(busy)
        owners.open(session_id, busy)
    assert not owners.may_open(busy)
    assert owners.may_open(other)
    owners.close("a")
    assert owners.may_open(busy)
    owners.open("c", busy)
    clock.advance(sessions.IDLE_SECONDS)
    assert owners.belongs("b", busy)
    assert owners.may_open(busy), "what is idle has ended"
    assert not owners.belongs("c", busy)
    assert owners.belongs("b", busy)


def test_visitors_whose_calls_are_only_reported_have_no_share(monkeypatch, clock):
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 2)
    owners = SessionOwners(clock)
    for session_id in ("a", "b", "c"):
        assert owners.may_open(None)
        owners.open(session_id, None)
    assert owners.may_open(None)


def test_blanks_around_a_header_do_not_count():
    routing = read_routing([(b"mcp-method", b" tools/call\t"), (b"Mcp-Name", b" a ")])
    assert routing.targets == (Target("tools", "a"),)


@pytest.mark.parametrize("coding", ["gzip", "gzip, identity", "identity, gzip", "x"])
@pytest.mark.parametrize("name", [b"content-encoding", b"Content-Encoding"])
def test_a_body_in_another_coding_is_refused(name, coding):
    together = read_routing([(name, coding.encode())])
    assert together.problem == "The body is compressed; send it uncompressed."
    alone = read_routing([(name, part.encode()) for part in coding.split(", ")])
    assert alone.problem is not None
    assert read_routing([(name, b"Identity")]).problem is None


@pytest.mark.parametrize("names", [(b"mcp-name", b"mcp-name"), (b"mcp-name", b"Mcp-Name")])
def test_a_header_that_stands_twice_is_refused(names):
    routing = read_routing([(b"host", b"x"), *((name, b"a") for name in names)])
    assert routing.problem == "The header mcp-name appears twice."


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "n": [1, 2.5]}}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", "\t:")])
@pytest.mark.parametrize("value", ["x", "\u00e9", "\x7f", '"', 'a": 1, "a', 10**30, 1e-9, -0.0])
def test_a_body_is_read_alike_however_it_is_written(separators, value):
    document = {**CALL, "params": {**CALL["params"], "value": value}}
    (expected,) = read_messages(json.dumps(document).encode())
    for ascii_only in (True, False):
        body = json.dumps(document, separators=separators, ensure_ascii=ascii_only).encode()
        assert read_messages(body) == (expected,)
    assert expected.targets == (Target("tools", "a"),)


@pytest.mark.parametrize(
    "body",
    [
        '{"method":"ping","method":"tools/call"}',
        '{"method":"ping","meth\\u006fd":"tools/call"}',
        '{"method":"ping","params":{"a":{"b":1,"b":1}}}',
        '{"method":"ping","params":[{"":1,"":2}]}',
        '[{"method":"ping"},{"method":"ping","id":1,"id":1}]',
        '{"method":"ping","n":NaN}',
        '{"method":"ping","n":-Infinity}',
        '{"method":"ping"}{}',
        '\ufeff{"method":"ping"}',
        '{"method":"ping","n":' + "1" * 5_000 + "}",
        "[" * 100_000,
        '{"method":"ping",}',
        "null",
        "",
    ],
)
@pytest.mark.parametrize("separator", [":", " : "])
def test_what_two_parsers_may_read_differently_is_refused(body, separator):
    with pytest.raises(Malformed):
        read_messages(body.replace('":', f'"{separator}').encode())


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", lambda name: {"name": name}),
        ("prompts/get", lambda name: {"name": name}),
        ("resources/read", lambda name: {"uri": name}),
        ("resources/subscribe", lambda name: {"uri": name}),
        ("completion/complete", lambda name: {"ref": {"name": name}}),
        ("completion/complete", lambda name: {"ref": {"uri": name}}),
        (
            "subscriptions/listen",
            lambda name: {"notifications": {"resourceSubscriptions": ["a", name]}},
        ),
    ],
)
def test_a_name_is_bounded(method, params):
    """Each character of a name costs time for every rule, while the other requests wait."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params("a" * 4_096)}
    assert read_messages(json.dumps(body).encode())[0].targets
    body["params"] = params("a" * 4_097)
    with pytest.raises(Malformed, match="more than 4096 characters"):
        read_messages(json.dumps(body).encode())


def test_a_body_in_another_encoding_is_refused():
    for encoding in ("utf-16", "utf-32"):
        with pytest.raises(Malformed):
            read_messages(json.dumps(CALL).encode(encoding))


def test_no_rule_lets_another_websites_page_in():
    """The door's first requirement refuses it, whatever a rule allows."""
    open_to_all = Requirement(dangerously_allow_cross_site=True)
    first, *_ = together((open_to_all, WRITE))
    assert first.dangerously_allow_cross_site is False
    visit = ValueVisit("POST", "/mcp", {"sec-fetch-site": "cross-site"})
    party = RelyingParty(test_settings())
    entry = Entry(party, visit, Pass(make_agent(issuer=party.settings.issuer, scopes=("write",))))
    for rules in (Rules(always=open_to_all), Rules(tools={"a": open_to_all})):
        routing = read_routing([(b"mcp-method", b"tools/call"), (b"mcp-name", b"a")])
        reply = Door(rules, max_body=1_000).refuse_headers(entry, routing)
        assert reply is not None
        assert reply.status == 403
        assert b"another website" in reply.body
