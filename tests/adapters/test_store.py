"""Sessions in a real Redis: shared, refreshed once, ended at once."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import anyio
import pytest
import redis

from auth_agent import RelyingParty, ServerUnavailable, Settings, SettingsError
from auth_agent.flow import drive
from auth_agent.flow.connections import redis_exchange
from auth_agent.flow.exchange import HttpResponse
from auth_agent.protocol.jose.base64url import encode
from auth_agent.testing.issuer import ABSENT
from auth_agent.testing.provider import json_response
from auth_agent.website.recognition import store
from auth_agent.website.recognition.session import cookie_name
from auth_agent.website.web.outcome import Pass
from tests.services import redis_server
from tests.website.browser import Browser, Clock, ValueVisit, cause, relative

JSON = {"accept": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def url():
    with redis_server() as url:
        yield url
        drive.close()


@pytest.fixture
def redis_client(url):
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client


@pytest.fixture
def clock():
    return Clock(1_800_000_000.0)


def run_in_thread(flow, server, body=None):
    return drive.run(flow, lambda limit: body)


def run_in_task(flow, server, body=None):
    async def read(limit):
        return body

    async def main():
        try:
            return await drive.arun(flow, read)
        finally:
            await drive.aclose()

    return anyio.run(main)


@pytest.fixture(params=[run_in_thread, run_in_task], ids=["threads", "tasks"])
def make_site(request, provider, url, clock, redis_client):
    provider.clock = clock

    def make(**changes):
        settings = settings_with(provider, url, **changes)
        return Browser(RelyingParty(settings, clock=clock), provider, request.param)

    return make


@pytest.fixture
def site(make_site):
    return make_site()


def settings_with(provider, url, **changes):
    return Settings(
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        **{
            "secret": "a secret of the website that is long enough",
            "base_url": "https://shop.example",
            "session_store": url,
            **changes,
        },
    )


def test_the_browser_holds_nothing_but_an_opaque_id(site, redis_client, provider):
    site.sign_in()
    (value,) = site.cookies.values()
    assert len(value) == 43
    assert site.agent.id == "agent_7"
    stored = b"".join(key + (redis_client.get(key) or b"") for key in _sessions(redis_client))
    for secret in (value, "agent_7", "owner@example.com", *provider.active):
        assert secret.encode() not in stored, "neither keys nor values tell"


def test_two_websites_in_one_redis_do_not_meet(make_site):
    one, two = make_site(), make_site(base_url="https://other.example")
    one.sign_in()
    two.cookies = dict(one.cookies)
    assert two.agent is None


def test_another_process_with_the_same_secret_shares_the_session(make_site):
    one, two = make_site(), make_site()
    one.sign_in()
    two.cookies = one.cookies
    assert two.agent.id == "agent_7"


@pytest.mark.parametrize("value", ["", "x", "x" * 43, "ä" * 43, "x" * 5_000])
def test_a_guessed_id_is_nobody(site, value):
    site.cookies[cookie_name(site.relying_party.settings)] = value
    assert site.agent is None


def test_a_record_cannot_be_moved_to_another_id(site, redis_client):
    """Binds a record to its id, even against someone who can write to Redis."""
    site.sign_in()
    other = site.twin()
    other.sign_in()
    one, two = _sessions(redis_client)
    redis_client.set(one, redis_client.get(two))
    redis_client.set(two, b"garbage")
    assert site.agent is None
    assert other.agent is None


def test_an_agent_of_whom_little_is_known_has_a_session(site, provider):
    del provider.agent["email"]
    provider.claims["sid"] = ABSENT
    site.sign_in()
    assert (site.agent.id, site.agent.email) == ("agent_7", None)
    assert site.relying_party.end_sessions(agent_id="agent_7") == 1


class TestLifetime:
    def test_redis_forgets_what_has_ended(self, make_site, redis_client, clock):
        site = make_site(session_idle=3_600, session_lifetime=5_000)
        site.sign_in()
        (key,) = _sessions(redis_client)
        assert 3_590 <= redis_client.ttl(key) <= 3_600
        clock.advance(3_000)
        assert site.agent is not None
        assert 1_990 <= redis_client.ttl(key) <= 2_000

    def test_ends_when_idle(self, site, clock):
        site.sign_in()
        clock.advance(3_599)
        assert site.agent is not None
        clock.advance(3_599)
        assert site.agent is not None
        clock.advance(3_601)
        assert site.agent is None

    def test_is_absolute(self, site, clock, provider):
        site.sign_in()
        for _ in range(9):
            clock.advance(3_199)
            assert site.agent is not None
        clock.advance(20)
        assert site.agent is None

    def test_redis_forgets_by_itself(self, site, redis_client):
        site.sign_in()
        (key,) = _sessions(redis_client)
        assert 0 < redis_client.ttl(key) <= 3_600


class TestRefresh:
    def test_is_silent_and_once(self, site, clock, provider):
        site.sign_in()
        for _ in range(3):
            clock.advance(1_800)
            assert site.agent is not None
        assert provider.count("/token") == 2, "the code, and one refresh in one and a half hours"

    def test_an_ended_grant_ends_the_session_cleanly(self, site, clock, provider, redis_client):
        site.sign_in()
        provider.active.clear()
        clock.advance(3_595)
        assert site.agent is None
        assert _sessions(redis_client) == []

    @pytest.mark.parametrize(
        "answer", [HttpResponse(500, {}, b""), json_response(401, {"error": "invalid_client"})]
    )
    def test_a_server_that_is_away_ends_nothing(self, site, clock, provider, answer):
        site.sign_in()
        provider.answers["/token"] = answer
        clock.advance(3_595)
        assert site.agent is not None
        asked = provider.count("/token")
        assert site.agent is not None
        assert provider.count("/token") == asked, "not asked again at every request"
        del provider.answers["/token"]
        clock.advance(30)
        assert site.agent is not None
        assert provider.count("/token") == asked + 1

    def test_a_logout_wins_against_a_refresh_in_flight(self, make_site, clock, provider):
        one = make_site()
        one.sign_in()
        two = make_site()
        two.cookies = dict(one.cookies)
        at_server, go_on = threading.Event(), threading.Event()

        def slow(handler):
            at_server.set()
            assert go_on.wait(10)
            body = b'{"access_token":"a","token_type":"Bearer","refresh_token":"r"}'
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        provider.answers["/token"] = slow
        clock.advance(3_595)
        with ThreadPoolExecutor(1) as pool:
            in_flight = pool.submit(lambda: one.request("/").agent)
            assert at_server.wait(10)
            assert two.request("/auth-agent/logout", method="POST", headers={}).status == 303
            go_on.set()
            assert in_flight.result() is None
        assert one.agent is None


def test_a_hundred_requests_cost_one_token_call(url, redis_client, provider, clock):
    """Threads of two processes' worth of relying parties, and tasks, on one expired token."""
    provider.clock = clock
    settings = settings_with(provider, url)
    parties = [RelyingParty(settings, clock=clock) for _ in range(2)]
    browser = Browser(parties[0], provider, run_in_thread)
    browser.sign_in()
    cookie = "; ".join(f"{n}={v}" for n, v in browser.cookies.items())
    clock.advance(3_595)

    def in_thread(number):
        visit = ValueVisit("GET", "/", {"cookie": cookie})
        return drive.run(parties[number % 2].enter(visit)).agent.id

    async def in_tasks():
        seen = []

        async def one(number):
            visit = ValueVisit("GET", "/", {"cookie": cookie})
            seen.append((await drive.arun(parties[number % 2].enter(visit))).agent.id)

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(one, number)
        await drive.aclose()
        return seen

    with ThreadPoolExecutor(26) as pool:
        tasks = pool.submit(anyio.run, in_tasks)
        threads = list(pool.map(in_thread, range(50)))
        assert threads + tasks.result() == ["agent_7"] * 100
    assert provider.count("/token") == 2, "the code, and one refresh"

    def test_may_leave_fewer_scopes(self, site, clock, provider):
        site.sign_in()
        assert "email" in site.agent.scopes
        provider.token_response["scope"] = "openid profile"
        clock.advance(3_595)
        assert site.agent.scopes == ("openid", "profile")


@pytest.mark.parametrize("shares", [True, False])
def test_a_callback_at_two_machines_sends_its_code_once(make_site, provider, shares):
    """Needs the shared store; without one the server ends the sign-in."""
    one = make_site(**({} if shares else {"session_store": "cookie"}))
    two = make_site(**({} if shares else {"session_store": "cookie"}))
    callback = relative(provider.approve(one.begin()))
    two.cookies = dict(one.cookies)
    assert one.request(callback).status == 303
    provider.requests.clear()
    reply = two.request(callback)
    assert reply.status != 303
    assert provider.count("/token") == (0 if shares else 1)
    assert (cause(reply) == "state_reused") is shares
    assert (one.agent is not None) or not shares, "the session that it began goes on"


class TestTwoAtOnce:
    """One machine writes while another is between reading and writing."""

    @pytest.fixture
    def meanwhile(self, monkeypatch):
        """Does something else right before this script runs for the first time."""

        def before(script, act):
            honest, waiting = redis_exchange.ask, [act]

            def ask(effect):
                if waiting and effect.commands[0][1] == script:
                    waiting.pop()()
                return honest(effect)

            monkeypatch.setattr(redis_exchange, "ask", ask)

        return before

    @pytest.fixture
    def parties(self, url, provider, clock, redis_client):
        provider.clock = clock
        return [RelyingParty(settings_with(provider, url), clock=clock) for _ in range(2)]

    @pytest.fixture
    def one(self, parties, provider):
        browser = Browser(parties[0], provider, run_in_thread)
        browser.sign_in()
        return browser

    @pytest.fixture
    def two(self, one, parties, provider):
        """Sends the same browser to another machine, whose clock is ahead."""
        other = Browser(parties[1], provider, run_in_thread)
        other.cookies = one.cookies
        return other

    def test_a_visit_does_not_undo_a_refresh(self, one, two, clock, provider, meanwhile):
        def refresh():
            clock.advance(10)
            assert two.agent is not None

        clock.advance(3_585)
        meanwhile(store._UPDATE, refresh)
        assert one.agent is not None
        assert provider.count("/token") == 2
        clock.advance(3_000)
        assert one.agent is not None
        clock.advance(595)
        assert two.agent is not None, "the newest refresh token was kept"
        assert provider.count("/token") == 3

    def test_a_visit_does_not_undo_a_logout(self, one, two, clock, meanwhile):
        clock.advance(61)
        headers = {"sec-fetch-site": "same-origin"}
        cookies = dict(one.cookies)
        meanwhile(
            store._UPDATE,
            lambda: two.request("/auth-agent/logout", method="POST", headers=headers),
        )
        assert one.agent is None
        one.cookies = cookies
        assert one.agent is None

    def test_whoever_lost_the_lock_sends_no_refresh_token(
        self, one, clock, provider, redis_client, meanwhile
    ):
        taken = []

        def take_over():
            if not taken:  # the first time it is free
                taken.append(True)
                meanwhile(store._LOCK, take_over)
                return
            (key,) = redis_client.scan_iter("*:lock:*")
            redis_client.set(key, "somebody else")

        clock.advance(3_595)
        meanwhile(store._LOCK, take_over)
        assert one.agent is not None
        assert provider.count("/token") == 1


def test_new_tokens_outlive_a_gap_of_the_store(url, redis_client, provider, clock, monkeypatch):
    """Stops the store between the token endpoint's answer and the write."""
    provider.clock = clock
    site = Browser(RelyingParty(settings_with(provider, url), clock=clock), provider, run_in_thread)
    site.sign_in()
    honest, written = redis_exchange.ask, threading.Event()
    away = threading.Event()

    def ask(effect):
        script = effect.commands[0][1]
        if away.is_set() and script == store._UPDATE:
            away.clear()  # for one write
            raise ServerUnavailable("The session store cannot be reached.")
        answer = honest(effect)
        if script == store._UNLOCK:
            written.set()
        return answer

    monkeypatch.setattr(redis_exchange, "ask", ask)
    clock.advance(3_595)
    away.set()
    assert site.agent is not None
    assert written.wait(10), "the lock is kept until the tokens are stored"
    assert site.agent is not None
    assert provider.count("/token") == 2
    clock.advance(3_595)
    assert site.agent is not None, "the newest refresh token is the one that is sent"
    assert provider.count("/token") == 3


@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_a_rush_of_requests_waits_for_a_connection(url, redis_client, provider, clock, colour):
    provider.clock = clock
    party = RelyingParty(settings_with(provider, url), clock=clock)
    browser = Browser(party, provider, run_in_thread)
    browser.sign_in()
    cookie = "; ".join(f"{n}={v}" for n, v in browser.cookies.items())
    flows = [party.enter(ValueVisit("GET", "/", {"cookie": cookie})) for _ in range(250)]

    async def in_tasks():
        seen = []

        async def one(flow):
            seen.append(await drive.arun(flow))

        async with anyio.create_task_group() as tasks:
            for flow in flows:
                tasks.start_soon(one, flow)
        await drive.aclose()
        return seen

    if colour == "tasks":
        outcomes = anyio.run(in_tasks)
    else:
        with ThreadPoolExecutor(150) as pool:
            outcomes = list(pool.map(drive.run, flows))
    assert [outcome.agent.id for outcome in outcomes] == ["agent_7"] * 250


def end_sessions(site, whose):
    """Ends the sessions of one agent or owner, or all of them."""
    party = site.relying_party
    return party.end_sessions(**whose) if whose else party.end_all_sessions()


def test_a_session_is_ended_although_a_machine_with_a_wrong_date_signs_agents_in(
    make_site, clock, provider, url
):
    """The indexes forget sessions by the time of Redis, not of whichever machine writes."""
    site = make_site()
    site.sign_in()
    ahead = Clock(clock.now + 90_000)
    provider.clock = ahead
    settings = settings_with(provider, url)
    Browser(RelyingParty(settings, clock=ahead), provider, site.run).sign_in()
    provider.clock = clock
    assert site.relying_party.end_sessions(agent_id="agent_7") == 2
    assert site.agent is None


class TestSignInUnderWay:
    """What ends an agent's sessions ends the one that is about to begin."""

    def sign_in(self, make_site, clock, act):
        other = make_site()
        settings = other.relying_party.settings
        party = RelyingParty(settings, on_sign_in=lambda agent: act(other), clock=clock)
        site = Browser(party, other.server, other.run)
        return site, site.sign_in()

    @pytest.mark.parametrize(
        "whose", [{"agent_id": "agent_7"}, {"email": "OWNER@example.com"}, {}], ids=str
    )
    def test_is_ended_by_end_sessions(self, make_site, clock, whose):
        def end(other):
            end_sessions(other, whose)

        site, reply = self.sign_in(make_site, clock, end)
        assert (reply.status, cause(reply)) == (400, "session_ended")
        assert site.cookies == {}
        site = make_site()
        assert site.sign_in().status == 303
        assert site.agent is not None, "the next sign-in is another one"

    def test_is_ended_by_the_server(self, make_site, clock, provider):
        def announce(other):
            TestBackChannelLogout().announce(other, provider, **whose)

        for whose in ({}, {"sid": "s1"}):  # noqa: B007  # `announce` reads it
            provider.claims["sid"] = "s1"
            site, reply = self.sign_in(make_site, clock, announce)
            assert reply.status == 400
            assert site.agent is None

    def test_is_not_disturbed_by_what_happens_to_others(self, make_site, clock):
        def end(other):
            other.relying_party.end_sessions(agent_id="agent_8")

        site, reply = self.sign_in(make_site, clock, end)
        assert reply.status == 303
        assert site.agent is not None


class TestEndSessions:
    @pytest.mark.parametrize(
        ("whose", "ended"),
        [
            ({"agent_id": "agent_1"}, {1}),
            ({"email": "TWO@example.com"}, {2}),
            ({}, {1, 2, 3}),
            ({"agent_id": "nobody"}, set()),
        ],
    )
    def test_is_effective_at_the_next_request(self, make_site, whose, ended):
        owners = {1: "one@example.com", 2: "two@example.com", 3: "three@example.com"}
        browsers = {}
        for number, email in owners.items():
            browsers[number] = browser = make_site()
            agent = {"sub": f"agent_{number}", "email": email}
            browser.end(browser.begin(), agent=agent)
        assert end_sessions(make_site(), whose) == len(ended)
        for number, browser in browsers.items():
            assert (browser.agent is None) is (number in ended)

    def test_for_tasks(self, site):
        site.sign_in()

        async def main():
            ended = await site.relying_party.aend_sessions(agent_id="agent_7")
            await drive.aclose()
            return ended

        assert anyio.run(main) == 1
        assert site.agent is None

    def test_of_all_agents_for_tasks(self, site):
        site.sign_in()

        async def main():
            ended = await site.relying_party.aend_all_sessions()
            await drive.aclose()
            return ended

        assert anyio.run(main) == 1
        assert site.agent is None

    def test_without_a_name_ends_nobody(self, site):
        site.sign_in()
        with pytest.raises(TypeError, match="end_all_sessions"):
            site.relying_party.end_sessions()
        assert site.agent is not None

    @pytest.mark.parametrize("name", ["agent_id", "email"])
    @pytest.mark.parametrize("value", [None, "", 7])
    def test_a_variable_that_is_empty_ends_nobody(self, site, name, value):
        site.sign_in()
        with pytest.raises(TypeError, match="end_all_sessions"):
            site.relying_party.end_sessions(**{name: value})
        assert site.agent is not None

    def test_takes_one_of_both(self, site):
        site.sign_in()
        with pytest.raises(TypeError, match="needs agent_id or email"):
            site.relying_party.end_sessions(agent_id="agent_7", email="owner@example.com")
        assert site.agent is not None

    @pytest.mark.parametrize("whose", [{"agent_id": "agent_7"}, {"email": "a@b.example"}, {}])
    def test_is_written_down(self, site, caplog, whose):
        with caplog.at_level("INFO", "auth_agent"):
            ended = end_sessions(site, whose)
        (record,) = caplog.records
        agent = {"agent": "agent_7"} if "agent_id" in whose else {}
        cause = "end_sessions" if whose else "end_all_sessions"
        told = {"event": "ended", "cause": cause, "sessions": ended, **agent}
        assert record.auth_agent == told, "no address"

    @pytest.mark.parametrize("whose", [{"agent_id": "agent_7"}, {}])
    def test_needs_a_store(self, make_site, whose):
        with pytest.raises(SettingsError, match="AUTH_AGENT_SESSION_STORE"):
            end_sessions(make_site(session_store="cookie"), whose)

    def test_the_lists_do_not_grow_for_ever(self, site, redis_client, clock):
        for _ in range(6):
            site.sign_in()
            clock.advance(9_000)
            for key in _indexes(redis_client):  # whose times are those of Redis
                for member in redis_client.zrange(key, 0, -1):
                    redis_client.zincrby(key, -9_000, member)
        assert max(redis_client.zcard(key) for key in _indexes(redis_client)) <= 4


class TestBackChannelLogout:
    def post(self, site, body, headers=FORM):
        visit = ValueVisit("POST", "/auth-agent/backchannel-logout", headers)
        return site.run(site.relying_party.enter(visit), None, body)

    def announce(self, site, provider, header=None, **changes):
        token = provider.logout_token(header=header, **changes)
        return self.post(site, urlencode({"logout_token": token}).encode())

    def test_ends_the_agents_sessions(self, site, provider):
        site.sign_in()
        assert self.announce(site, provider).status == 200
        assert site.agent is None

    def test_ends_one_session_of_the_server(self, make_site, provider):
        one, two = make_site(), make_site()
        one.end(one.begin(), agent={"sid": "s1"})
        two.end(two.begin(), agent={"sid": "s2"})
        assert self.announce(one, provider, sid="s1").status == 200
        assert one.agent is None
        assert two.agent is not None

    def test_the_servers_own_session_is_name_enough(self, site, provider):
        site.end(site.begin(), agent={"sid": "s1"})
        assert self.announce(site, provider, sid="s1", sub=ABSENT).status == 200
        assert site.agent is None

    @pytest.mark.parametrize(
        ("change", "cause"),
        [
            ({"iss": "https://evil.example"}, "issuer_mismatch"),
            ({"iss": ABSENT}, "issuer_mismatch"),
            ({"aud": ABSENT}, "audience_mismatch"),
            ({"exp": ABSENT}, "time_missing"),
            ({"iat": ABSENT}, "time_missing"),
            ({"iat": True}, "time_missing"),
            ({"events": ABSENT}, "events_missing"),
            (
                {"events": {"http://schemas.openid.net/event/backchannel-logout": 1}},
                "events_missing",
            ),
            ({"nonce": None}, "nonce_forbidden"),
            ({"sub": ""}, "sub_missing"),
            ({"sub": 7, "sid": ["s1"]}, "sub_missing"),
            ({"sub": ABSENT, "sid": ""}, "sub_missing"),
            ({"jti": ABSENT}, "jti_missing"),
            ({"jti": 7}, "jti_missing"),
            ({"jti": ""}, "jti_missing"),
            ({"header": {"typ": ABSENT}}, "typ_mismatch"),
            ({"header": {"jku": "https://evil.example"}}, "header_forbidden"),
            ({"header": {"alg": "none"}}, "token_malformed"),
            ({"header": {"alg": "RS256"}}, "algorithm_refused"),
            ({"aud": "client_other"}, "audience_mismatch"),
            ({"aud": ["client_shop", "client_other"]}, "audience_mismatch"),
            ({"exp": 1_799_999_000}, "token_expired"),
            ({"iat": 1_800_000_100}, "iat_ahead"),
            ({"iat": 1_799_999_000}, "iat_too_old"),
            ({"events": {}}, "events_missing"),
            ({"events": "logout"}, "events_missing"),
            ({"nonce": "n"}, "nonce_forbidden"),
            ({"sub": None}, "sub_missing"),
            ({"jti": None}, "jti_missing"),
            ({"header": {"typ": "JWT"}}, "typ_mismatch"),
            ({"header": {"typ": "at+jwt"}}, "typ_mismatch"),
            ({"header": {"alg": "HS256"}}, "algorithm_refused"),
            ({"header": {"kid": "unknown"}}, "key_unknown"),
        ],
    )
    def test_a_wrong_token_ends_nothing(self, site, provider, change, cause):
        site.sign_in()
        reply = self.announce(site, provider, **change)
        assert (reply.status, _document(reply)["cause"]) == (400, cause)
        assert site.agent is not None

    def test_is_written_down(self, site, provider, caplog):
        site.sign_in()
        with caplog.at_level("INFO", "auth_agent"):
            self.announce(site, provider)
            self.announce(site, provider, aud="client_other")
        assert [record.auth_agent for record in caplog.records] == [
            {"event": "ended", "cause": "backchannel_logout", "sessions": 1},
            {"event": "refused", "cause": "audience_mismatch", "route": "backchannel-logout"},
        ]

    def test_a_token_works_once(self, site, provider):
        body = urlencode({"logout_token": provider.logout_token()}).encode()
        assert self.post(site, body).status == 200
        site.sign_in()
        assert _document(self.post(site, body))["cause"] == "jti_replayed"
        assert site.agent is not None

    @pytest.mark.parametrize(
        ("body", "headers", "cause"),
        [
            (None, FORM, "body_too_large"),
            (b"", FORM, "logout_token_missing"),
            (b"logout_token=a&logout_token=b", FORM, "logout_token_missing"),
            (b"logout_token=garbage", FORM, "token_malformed"),
            (b"{}", {"content-type": "application/json"}, "body_not_a_form"),
            (b"logout_token=a.b.c", {}, "body_not_a_form"),
            (b"logout_token=a.b.c", {"content-type": "text/plain"}, "body_not_a_form"),
            (b"\xff\xfe", FORM, "body_not_a_form"),
            (b"&".join(b"a=1" for _ in range(100)), FORM, "body_not_a_form"),
        ],
    )
    def test_a_wrong_body_is_refused(self, site, body, headers, cause):
        reply = self.post(site, body, headers)
        assert (reply.status, _document(reply)["cause"]) == (400, cause)

    def test_without_a_store_it_is_not_promised(self, make_site):
        site = make_site(session_store="cookie")
        reply = site.request("/auth-agent/backchannel-logout", method="POST")
        assert reply.status == 501


class TestNames:
    """Of the keys in Redis."""

    def test_cannot_be_computed_without_the_secret(self, site, redis_client, provider):
        provider.claims["sid"] = "s1"
        site.end(site.begin(), agent={"email": "owner@example.com"})
        site.relying_party.end_sessions(agent_id="agent_9")
        names = b" ".join(redis_client.keys()).decode()
        indexes = [key for key in _indexes(redis_client) if not key.endswith(b":ended")]
        members = [redis_client.zrange(key, 0, -1) for key in indexes]
        for known in ("", "agent_7", "agent_9", "owner@example.com", "s1"):
            for text in (known.encode(), json.dumps([known]).encode(), json.dumps(known).encode()):
                digest = hashlib.sha256(text)
                for form in (digest.hexdigest(), encode(digest.digest())):
                    assert form not in names
                    assert form not in str(members)

    def test_are_found_under_every_secret(self, make_site, site):
        old, new = "a secret of the website that is long enough", "n" * 40
        site.sign_in()
        rotated = make_site(secret=[new, old])
        rotated.cookies = dict(site.cookies)
        assert rotated.agent is not None
        other = make_site(secret=[new, old])
        other.sign_in()
        assert site.relying_party.end_sessions(agent_id="agent_7") == 2, "by the old secret"
        site.sign_in()
        other.sign_in()
        assert rotated.relying_party.end_sessions(agent_id="agent_7") == 2, "by both"
        assert (site.agent, other.agent) == (None, None)


class TestEvicted:
    """Redis forgets the count of ended sessions (maxmemory-policy allkeys-lru)."""

    def test_a_sign_in_under_way_is_stopped_and_the_next_one_is_not(
        self, make_site, clock, redis_client
    ):
        def end(agent):
            other.relying_party.end_sessions(agent_id="agent_7")
            (count,) = redis_client.scan_iter("*:ends")
            redis_client.delete(count)

        other = make_site()
        other.relying_party.end_sessions(agent_id="agent_8")
        party = RelyingParty(other.relying_party.settings, on_sign_in=end, clock=clock)
        reply = Browser(party, other.server, other.run).sign_in()
        assert (reply.status, cause(reply)) == (400, "session_ended")
        assert make_site().sign_in().status == 303

    def test_what_is_ended_afterwards_is_ended(self, make_site, clock, redis_client):
        def end(agent):
            (count,) = redis_client.scan_iter("*:ends")
            redis_client.delete(count)
            other.relying_party.end_sessions(agent_id="agent_7")

        other = make_site()
        party = RelyingParty(other.relying_party.settings, on_sign_in=end, clock=clock)
        reply = Browser(party, other.server, other.run).sign_in()
        assert (reply.status, cause(reply)) == (400, "session_ended")


API = {"sign_in": False, "secret": ""}


@pytest.mark.parametrize("changes", [{}, API], ids=["website", "api"])
def test_a_revoked_token_is_refused_on_every_machine(make_site, provider, clock, changes):
    token = provider.access_token()
    headers = {"authorization": f"Bearer {token}"}
    one, two = make_site(**changes), make_site(**changes)
    assert one.request("/", headers=headers).agent is not None
    clock.advance(61)
    provider.active.discard(token)
    assert one.request("/", headers=headers).agent is None
    provider.answers["/introspect"] = json_response(500, {})
    assert two.request("/", headers=headers).agent is None
    assert one.request("/", headers=headers).agent is None


class TestOutage:
    @pytest.fixture
    def down(self, make_site, site):
        """Yields a signed-in browser at a website whose store is down."""
        site.sign_in()
        down = make_site(session_store="redis://127.0.0.1:1/0", protect="/private/*")
        down.cookies = dict(site.cookies)
        return down

    def test_a_public_page_goes_on_without_the_agent(self, down):
        assert down.request("/") == Pass(None)

    def test_a_place_for_humans_does_not_take_an_unknown_session_for_one(self, down):
        visit = ValueVisit(
            "GET", "/", {"cookie": "; ".join("=".join(c) for c in down.cookies.items())}
        )
        outcome = drive.run(down.relying_party.enter(visit))
        assert down.relying_party.require_no_agent(visit, outcome.agent).status == 503

    def test_nobody_seems_signed_out(self, down):
        reply = down.request("/private/x", headers=JSON)
        assert (reply.status, _document(reply)["error"]) == (503, "store_unavailable")
        assert "Retry-After" in dict(reply.headers)

    def test_visitors_without_a_session_do_not_notice(self, make_site):
        down = make_site(session_store="redis://127.0.0.1:1/0")
        assert down.request("/").agent is None

    def test_nobody_may_believe_to_be_signed_out(self, make_site, site):
        site.sign_in()
        down = make_site(session_store="redis://127.0.0.1:1/0")
        down.cookies = dict(site.cookies)
        reply = down.request("/auth-agent/logout", method="POST", headers={})
        assert reply.status == 503
        assert down.cookies == site.cookies


def _document(reply):
    return json.loads(reply.body)


def _sessions(client):
    return sorted(client.scan_iter("*:session:*"))


def _indexes(client):
    return [key for kind in ("all", "agent", "email") for key in client.scan_iter(f"*:{kind}:*")]


@pytest.mark.parametrize("changes", [{}, API], ids=["website", "api"])
def test_a_signed_change_counts_once_on_all_machines(make_site, monkeypatch, clock, changes):
    """Spends the signature's nonce in Redis, where the sessions are."""
    from auth_agent.flow.fetching import shared
    from auth_agent.protocol.signatures.sign import sign_request
    from tests.protocol.signatures.signing import new_key
    from tests.website.directories import Directories

    key, directories = new_key(), Directories()
    directories.publish("https://bot.example", key)
    monkeypatch.setattr(shared, "fetch", directories)
    changes = {"signatures": "*", "protect": "/api/*", **changes}
    one, two = (make_site(**changes) for _ in range(2))
    made = sign_request(
        "POST",
        "https://shop.example/api/x",
        key=key,
        agent="https://bot.example",
        now=clock(),
        nonce=b"n" * 16,
    )
    headers = {name.lower(): value for name, value in made}
    assert one.request("/api/x", method="POST", headers=headers).agent.via == "signature"
    again = two.request("/api/x", method="POST", headers=headers)
    assert json.loads(again.body)["cause"] == "nonce_used"
    monkeypatch.setattr(store.Store, "spend", _unreachable)
    fresh = make_site(**changes)
    reply = fresh.request("/api/x", method="POST", headers=headers)
    assert reply.status == 503
    assert fresh.request("/api/x", headers={**headers}).status == 401  # signed as a POST


def test_a_proof_counts_once_on_all_machines(make_site, monkeypatch, provider, clock):
    """Proofs of keys (DPoP) are spent in Redis, where the sessions are."""
    from tests.proofs import Holder

    holder, (one, two) = Holder(), (make_site(protect="/api/*") for _ in range(2))
    token = provider.access_token(cnf={"jkt": holder.jkt})

    def headers():
        text = holder.proof("GET", "https://shop.example/api/x", clock(), token)
        return {"authorization": f"DPoP {token}", "dpop": text}

    sent = headers()
    assert one.request("/api/x", headers=sent).agent.via == "dpop"
    assert json.loads(two.request("/api/x", headers=sent).body)["cause"] == "proof_used"
    assert two.request("/api/x", headers=headers()).agent.via == "dpop"
    api = make_site(protect="/api/*", **API)
    assert json.loads(api.request("/api/x", headers=sent).body)["cause"] == "proof_used"
    assert api.request("/api/x", headers=headers()).agent.via == "dpop"
    monkeypatch.setattr(store.Store, "spend", _unreachable)
    reply = one.request("/api/x", headers=headers())
    assert (reply.status, _document(reply)["error"]) == (503, "store_unavailable")
    other = {
        **headers(),
        "dpop": Holder().proof("GET", "https://shop.example/api/x", clock(), token),
    }
    assert _document(one.request("/api/x", headers=other))["cause"] == "token_key_mismatch"


def test_a_proof_is_remembered_as_long_as_one_can_be_valid(
    make_site, provider, clock, redis_client
):
    """Whatever time this machine believes it to be: its date may be corrected meanwhile."""
    from tests.proofs import Holder

    holder, site = Holder(), make_site(protect="/api/*")
    token = provider.access_token(cnf={"jkt": holder.jkt})
    text = holder.proof("GET", "https://shop.example/api/x", clock() - 100, token)
    assert site.request("/api/x", headers={"authorization": f"DPoP {token}", "dpop": text}).agent
    (key,) = redis_client.scan_iter("*:spent:*")
    assert 325 <= redis_client.ttl(key) <= 330
    assert holder.jkt not in key.decode()


def _unreachable(self, name, seconds):
    raise ServerUnavailable("The session store cannot be reached.", code="store_unavailable")
    yield
