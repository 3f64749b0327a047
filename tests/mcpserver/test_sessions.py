"""A session and a stream belong to the identity that opened them, and end with its credential."""

from __future__ import annotations

import time

import httpx2
import msgspec
import pytest
from mcp.server.streamable_http import EventMessage, EventStore

from auth_agent.testing import make_agent
from auth_agent.testing.credentials import new_session
from auth_agent.website.config.site import Hooks, Site
from auth_agent.website.mcp import sessions
from auth_agent.website.recognition.session import session_cookie
from tests.mcpserver.sites import ACCEPT, META, MODERN, ran, settings_of, text_of

WHOAMI = {"name": "whoami", "arguments": {}}


@pytest.fixture
def agent(stateful):
    return stateful.agent()


@pytest.fixture
def session(agent):
    return agent.open_session()


@pytest.mark.parametrize(
    "other", [{"agent_id": "agent_8"}, {"agent_id": "agent_8", "client_id": "agent_7"}]
)
class TestOfAnotherAgent:
    def test_it_answers_no_call(self, stateful, session, other):
        thief = stateful.agent(other["agent_id"])
        assert thief.call("tools/call", WHOAMI, session).status_code == 404
        assert ran == []

    def test_it_opens_no_stream(self, stateful, session, other):
        thief = stateful.agent(other["agent_id"])
        headers = {**ACCEPT, **session}
        with thief.stream("GET", "/mcp", headers=headers) as answer:
            assert answer.status_code == 404

    def test_it_is_not_ended(self, stateful, agent, session, other):
        thief = stateful.agent(other["agent_id"])
        assert thief.delete("/mcp", headers=session).status_code == 404
        assert text_of(agent.call("tools/call", WHOAMI, session)) == "agent_7"


def test_a_refreshed_token_stays_in_its_session(agent, session):
    for scope in ("openid", "openid invoices:write"):
        agent.renew(scope=scope)
        assert text_of(agent.call("tools/call", WHOAMI, session)) == "agent_7"


def test_a_session_is_over_once_it_is_deleted(agent, session):
    assert agent.delete("/mcp", headers=session).status_code == 200
    assert agent.call("tools/call", WHOAMI, session).status_code == 404


def test_a_session_that_nobody_opened_is_not_there(agent):
    headers = {"mcp-session-id": "f" * 32, "mcp-protocol-version": "2025-11-25"}
    assert agent.call("tools/call", WHOAMI, headers).status_code == 404
    assert agent.call("tools/call", WHOAMI, {"mcp-session-id": "x" * 5_000}).status_code == 404


def test_a_session_without_a_token_is_401(stateful, session):
    answer = httpx2.post(f"{stateful.base_url}/mcp", json={}, headers=session)
    assert answer.status_code == 401


def test_one_agent_does_not_take_the_sessions_of_the_others(stateful, monkeypatch):
    monkeypatch.setattr(sessions, "MOST_OF_ONE", 2)
    busy, other = stateful.agent("busy"), stateful.agent("other")
    kept, ended = busy.open_session(), busy.open_session()
    body = {"jsonrpc": "2.0", "id": 5, "method": "initialize", "params": {}}
    refused = busy.send_body(body)
    assert (refused.status_code, refused.json()["id"]) == (429, 5)
    assert text_of(busy.call("tools/call", WHOAMI, kept)) == "busy"
    assert text_of(other.call("tools/call", WHOAMI, other.open_session())) == "other"
    assert busy.delete("/mcp", headers=ended).status_code == 200
    assert text_of(busy.call("tools/call", WHOAMI, busy.open_session())) == "busy"


class Events(EventStore):
    """Remembers events by the names of their streams, as the packages' own stores do."""

    def __init__(self):
        self.all = []

    async def store_event(self, stream_id, message):
        self.all.append((stream_id, message))
        return str(len(self.all) - 1)

    async def replay_events_after(self, last_event_id, send_callback):
        stream_id, _ = self.all[int(last_event_id)]
        for number, (name, message) in enumerate(self.all):
            if name == stream_id and number > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


@pytest.mark.parametrize("kind", ["mcp", "fastmcp"])
def test_a_replay_holds_the_events_of_its_own_agent_alone(serve, kind):
    """Two sessions give their requests the same ids, so their streams have the same names."""
    events = Events()
    world = serve(kind, event_store=events)
    one, other = world.agent("agent_1"), world.agent("agent_2")
    sessions = [one.open_session(), other.open_session()]
    for agent, session in zip((other, one, other), (*reversed(sessions), sessions[1]), strict=True):
        agent.call("tools/call", WHOAMI, session)
    seen = ""
    for number in range(len(events.all)):
        headers = {**ACCEPT, **sessions[1], "last-event-id": str(number)}
        with other.stream("GET", "/mcp", headers=headers) as replay:
            assert replay.status_code == 200
            for line in replay.iter_lines():
                seen += line
                if line.startswith("data:"):
                    break
    assert "agent_2" in seen, "a client gets what it has missed"
    assert "agent_1" not in seen


class TestStreams:
    """Each ends with the token that opened it, a whole body, no broken connection."""

    def test_a_get_stream_ends_at_the_tokens_exp(self, stateful):
        agent = stateful.agent()
        session = agent.open_session()
        exp = int(time.time()) + 2
        agent.renew(exp=exp)
        with agent.stream("GET", "/mcp", headers={**ACCEPT, **session}, timeout=15) as stream:
            assert stream.status_code == 200
            for _ in stream.iter_bytes():
                pass
        assert time.time() >= exp - 0.1
        agent.renew()
        with agent.stream("GET", "/mcp", headers={**ACCEPT, **session}) as again:
            assert again.status_code == 200, "a client opens another"

    def test_a_listen_stream_ends_at_the_tokens_exp(self, worlds):
        exp = int(time.time()) + 2
        agent = worlds("mcp").agent(exp=exp)
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "subscriptions/listen",
            "params": {"notifications": {"toolsListChanged": True}, "_meta": META},
        }
        headers = {**ACCEPT, "mcp-protocol-version": MODERN, "mcp-method": "subscriptions/listen"}
        with agent.stream("POST", "/mcp", json=body, headers=headers, timeout=15) as stream:
            assert stream.status_code == 200
            for _ in stream.iter_bytes():
                pass
        assert time.time() >= exp - 0.1

    @pytest.mark.parametrize("kind", ["mcp", "fastmcp"])
    def test_a_stream_ends_once_its_token_is_revoked(self, serve, issuer, kind):
        """Asks the server as often as for requests, although no request comes in."""
        settings = {
            "client_id": issuer.client_id,
            "client_secret": issuer.client_secret,
            "bearer_recheck": 1,
        }
        agent, other = (serve(kind, settings=settings).agent(name) for name in ("a", "b"))
        session, kept = agent.open_session(), other.open_session()
        with (
            agent.stream("GET", "/mcp", headers={**ACCEPT, **session}, timeout=20) as stream,
            other.stream("GET", "/mcp", headers={**ACCEPT, **kept}, timeout=20) as another,
        ):
            assert (stream.status_code, another.status_code) == (200, 200)
            issuer.active.discard(agent.headers["authorization"].removeprefix("Bearer "))
            for _ in stream.iter_bytes():
                pass
            assert not another.is_stream_consumed
        assert agent.call("tools/call", WHOAMI, session).status_code == 401
        assert text_of(other.call("tools/call", WHOAMI, kept)) == "b"

    def test_a_stream_ends_with_the_session_of_its_cookie(self, serve, issuer):
        settings = {
            "client_id": issuer.client_id,
            "client_secret": issuer.client_secret,
            "secret": "s" * 32,
            "sign_in": True,
            "session_idle": 30,
            "bearer_recheck": 1,
        }
        world = serve("mcp", settings=settings)
        agent, kept = world.agent(), world.agent("agent_8")
        session, other = agent.open_session(), kept.open_session()
        del agent.headers["authorization"]
        site = Site.open(settings_of(issuer, world.base_url, **settings), Hooks())
        who = make_agent(id="agent_7", issuer=issuer.issuer, client_id=issuer.client_id)
        opened = new_session(who, site)
        opened = msgspec.structs.replace(opened, seen_at=opened.seen_at - 27)
        cookie = session_cookie(opened, site)
        agent.headers["cookie"] = f"{cookie.name}={cookie.value}"
        with (
            agent.stream("GET", "/mcp", headers={**ACCEPT, **session}, timeout=20) as stream,
            kept.stream("GET", "/mcp", headers={**ACCEPT, **other}, timeout=20) as another,
        ):
            assert (stream.status_code, another.status_code) == (200, 200)
            for _ in stream.iter_bytes():
                pass
            assert not another.is_stream_consumed
        assert agent.call("tools/call", WHOAMI, session).status_code == 401

    def test_a_call_is_not_cut_off(self, stateful):
        agent = stateful.agent()
        assert text_of(agent.modern("tools/call", WHOAMI)) == "agent_7"
