"""The session cookie: what is believed, how long, and what is ignored."""

from __future__ import annotations

import re

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_agent import ServerUnavailable
from auth_agent.asgi import AuthAgentMiddleware
from auth_agent.protocol.token import Tokens
from auth_agent.secret import Secret
from auth_agent.testing import json_response
from auth_agent.testing.issuer import ABSENT
from auth_agent.website.config.seal import Seal
from auth_agent.website.recognition.cookie_sessions import MAX_REMEMBERED
from auth_agent.website.recognition.session import open_session, session_cookie
from auth_agent.website.web.headers import cookie_headers, private_headers
from auth_agent.website.web.outcome import Pass
from auth_agent.website.web.visit import Cookie, find_cookie, split_cookies, unfold_cookies
from tests.website.browser import SESSION_COOKIE, Browser, ValueVisit, cause, entry, location

NAME = SESSION_COOKIE
OLD, NEW = "the old secret of this website is kept", "n" * 40
SEAL = Seal([Secret("s" * 32)], "issuer", "client", "site")


def test_the_cookie_has_every_protection(browser):
    cookie = next(c for c in browser.sign_in().cookies if c.name == NAME)
    attributes = cookie.header().split("; ")[1:]
    assert set(attributes) == {"Path=/", "Max-Age=28800", "HttpOnly", "SameSite=Lax", "Secure"}
    assert len(NAME) + len(cookie.value) < 1_024


def test_on_loopback_the_port_keeps_two_sites_apart(make_site):
    one, two = (make_site(base_url=f"http://localhost:{port}") for port in (8000, 8001))
    for site in (one, two):
        assert site.sign_in().status == 303
    assert not set(one.cookies) & set(two.cookies)
    assert "Secure" not in Cookie("a", "b", 1, secure=False).header()


def test_what_is_secret_in_it_cannot_be_read(browser, server):
    browser.sign_in()
    import base64

    value = browser.cookies[NAME]
    readable = base64.urlsafe_b64decode(value.split(".")[0] + "==")
    assert b"agent_7" in readable
    assert not any(token.encode() in readable for token in server.active)


class TestLifetime:
    def test_is_absolute(self, make_site, clock):
        site = make_site(session_lifetime=7_200, session_idle=3_600)
        site.sign_in()
        for _ in range(4):
            clock.advance(1_799)
            assert site.agent is not None
        clock.advance(10)
        assert site.agent is None

    def test_ends_when_idle(self, browser, clock):
        browser.sign_in()
        clock.advance(3_599)
        kept = dict(browser.cookies)
        assert browser.agent is not None
        browser.cookies = kept  # as if that request had not been made
        clock.advance(1)
        assert browser.agent is None

    @pytest.mark.parametrize(
        ("used", "idle", "stays"),
        [
            (
                1_799,
                1_800,
                True,
            ),  # the cookie was not written then: half of the time has gone already
            (1_799, 1_801, False),
            (1_800, 3_599, True),  # it was written: all of the time begins anew
            (1_800, 3_600, False),
        ],
    )
    def test_ends_between_half_and_all_of_the_idle_time(self, browser, clock, used, idle, stays):
        browser.sign_in()
        clock.advance(used)
        assert browser.agent is not None
        clock.advance(idle)
        assert (browser.agent is not None) is stays

    def test_does_not_begin_in_the_future(self, browser, clock):
        """Allows the one minute by which clocks may differ, and no more."""
        browser.sign_in()
        clock.advance(-60)
        assert browser.agent is not None
        clock.advance(-1)
        assert browser.agent is None

    def test_a_shorter_setting_counts_at_once(self, make_site, clock):
        site = make_site()
        site.sign_in()
        shorter = make_site(session_lifetime=600, session_idle=300)
        shorter.cookies = site.cookies
        assert shorter.agent is not None
        clock.advance(601)
        assert shorter.agent is None
        assert site.agent is not None

    def test_a_longer_setting_counts_for_new_sessions_only(self, make_site, clock):
        site = make_site(session_lifetime=600, session_idle=600)
        site.sign_in()
        longer = make_site()
        longer.cookies = site.cookies
        clock.advance(599)
        assert longer.agent is not None
        clock.advance(1)
        assert longer.agent is None

    def test_a_cookie_from_the_future_is_none(self, browser, clock):
        browser.sign_in()
        clock.advance(-61)
        assert browser.agent is None


class TestRenewal:
    def test_costs_nothing_before_half_of_the_idle_time(self, browser, server, clock):
        browser.sign_in()
        asked = len(server.requests)
        clock.advance(1_799)
        assert browser.request("/").cookies == ()
        assert len(server.requests) == asked

    def test_asks_whether_the_agent_is_still_welcome(self, browser, server, clock):
        browser.sign_in()
        clock.advance(1_800)
        (cookie,) = browser.request("/").cookies
        assert cookie.max_age == 28_800 - 1_800
        assert server.count("/introspect") == 2  # at the sign-in and now
        browser.request("/")
        assert server.count("/introspect") == 2

    def test_a_server_that_never_called_such_a_token_active_ends_nothing(
        self, browser, server, clock
    ):
        """Allows for servers that answer `false` for refresh tokens (RFC 7662 2.2)."""
        server.answers["/introspect"] = json_response(200, {"active": False})
        browser.sign_in()
        for _ in range(4):
            clock.advance(1_800)
            assert browser.agent is not None

    def test_its_no_counts_once_it_has_said_yes(self, browser, server, clock):
        server.answers["/introspect"] = json_response(200, {"active": False})
        browser.sign_in()
        del server.answers["/introspect"]
        clock.advance(1_800)
        assert browser.agent is not None
        server.active.clear()
        clock.advance(1_800)
        assert browser.agent is None

    def test_another_process_knows_that_the_server_can_tell(self, make_site, server, clock):
        one, two = make_site(), make_site()
        one.sign_in()
        two.cookies = one.cookies
        server.active.clear()
        clock.advance(1_800)
        assert two.agent is None

    def test_asks_nothing_where_there_is_nothing_to_ask_with(self, browser, server, clock):
        server.token_response["refresh_token"] = ABSENT
        browser.sign_in()
        clock.advance(1_800)
        assert browser.agent is not None
        assert server.count("/introspect") == 0
        assert browser.request("/auth-agent/logout", method="POST", headers={}).status == 303
        assert browser.agent is None

    def test_a_disabled_agent_is_out(self, browser, server, clock):
        browser.sign_in()
        server.active.clear()
        clock.advance(1_800)
        assert browser.agent is None
        assert NAME not in browser.cookies

    def test_a_disabled_agent_is_led_to_the_login(self, make_site, server, clock):
        site = make_site(protect="/private/*")
        site.sign_in()
        server.active.clear()
        clock.advance(1_800)
        assert location(site.request("/private/x")).startswith("/auth-agent/login")
        assert NAME not in site.cookies

    @pytest.mark.parametrize("path", ["/introspect", "/.well-known/oauth-authorization-server"])
    def test_a_server_that_is_away_ends_no_session(self, browser, server, clock, path):
        browser.sign_in()
        server.answers[path] = ServerUnavailable("connection refused")
        clock.advance(1_800)
        assert browser.agent is not None
        clock.advance(3_599)
        assert browser.agent is not None


class TestSecrets:
    def test_rotate_without_signing_anybody_out(self, make_site):
        old = make_site(secret=OLD)
        old.sign_in()
        url = old.begin("/tab")
        both = make_site(secret=[NEW, OLD])
        both.cookies = old.cookies
        assert both.agent.id == "agent_7"
        assert location(both.end(url)) == "/tab"
        new = make_site(secret=NEW)
        new.cookies = both.cookies
        assert new.agent.id == "agent_7", "signed by the first of the list"

    def test_what_is_encrypted_moves_to_the_newest_too(self, make_site, server, clock):
        """Keeps the agent verifiable at the server once the old secret has gone."""
        old = make_site(secret=OLD)
        old.sign_in()
        both = make_site(secret=[NEW, OLD])
        both.cookies = old.cookies
        clock.advance(1_800)
        assert both.agent is not None
        new = make_site(secret=NEW)
        new.cookies = both.cookies
        server.active.clear()
        clock.advance(1_800)
        assert new.agent is None

    def test_nobody_stays_whom_the_server_cannot_be_asked_about(self, make_site, clock):
        """Ends a valid session whose refresh token is sealed with a secret that has gone."""
        site = make_site(secret=NEW)
        site.sign_in()
        signer = Seal([Secret(NEW)], "https://auth.example", "client_shop", "https://shop.example")
        content = signer.unsign(site.cookies[NAME])
        sealed = re.search(rb'"refresh_token":"([^"]+)"', content)[1]
        site.cookies[NAME] = signer.sign(content.replace(sealed, b"A" * len(sealed)))
        assert site.agent is not None
        clock.advance(1_800)
        assert site.agent is None

    def test_another_secret_is_as_if_there_were_no_cookie(self, make_site):
        site = make_site(secret=OLD)
        site.sign_in()
        other = make_site(secret=NEW)
        other.cookies = dict(site.cookies)
        assert other.agent is None
        assert other.request("/").cookies == (), "another worker may still know it"

    @pytest.mark.parametrize(
        "change",
        [{"base_url": "https://other.example"}, {"client_id": "client_other"}],
    )
    def test_a_cookie_of_another_site_is_foreign(self, browser, make_site, server, change):
        browser.sign_in()
        other = make_site(**change)
        other.cookies = browser.cookies
        assert other.agent is None

    def test_a_cookie_of_another_issuer_is_foreign(self, browser, make_site, server):
        browser.sign_in()
        server.issuer = "https://other.example"
        other = make_site()
        other.cookies = browser.cookies
        assert other.agent is None


class TestForgery:
    @pytest.mark.parametrize(
        "bend",
        [
            lambda v: v[:-1] + ("A" if v[-1] not in "AB" else "z"),
            lambda v: ("A" if v[0] != "A" else "B") + v[1:],
            lambda v: v.split(".")[0],
            lambda v: v + "." + v,
            lambda v: "",
            lambda v: "." * 100,
            lambda v: "é" + v,
            lambda v: v + "A" * 5_000,
            lambda v: v.upper(),
        ],
    )
    def test_a_changed_cookie_is_ignored_and_not_cleared(self, browser, bend):
        browser.sign_in()
        browser.cookies[NAME] = bend(browser.cookies[NAME])
        outcome = browser.request("/")
        assert (outcome.agent, outcome.cookies) == (None, ())

    def test_a_planted_cookie_is_never_adopted(self, browser):
        browser.cookies[NAME] = "planted"
        browser.sign_in()
        assert browser.cookies[NAME] != "planted"

    def test_a_transaction_cookie_is_no_session(self, browser):
        browser.begin()
        (value,) = browser.cookies.values()
        browser.cookies = {NAME: value}
        assert browser.agent is None

    @given(st.text(max_size=200))
    def test_no_text_opens_a_session(self, text):
        assert SEAL.unsign(text) is None
        assert SEAL.decrypt("transaction", text) is None

    @pytest.mark.parametrize("space", ["\x85", "\xa0", "\x0b", "\x0c", "\x1c", "\x1f", "\u3000"])
    def test_a_name_with_other_whitespace_is_another_name(self, browser, space):
        """Ignores it: without a `__Host-` prefix a neighbouring host could have set the cookie."""
        browser.sign_in()
        browser.cookies = {f"{space}{NAME}": browser.cookies[NAME]}
        assert browser.agent is None

    def test_a_huge_cookie_header_is_not_read(self, browser):
        browser.sign_in()
        browser.cookies["padding"] = "x" * 17_000
        assert browser.request("/").agent is None


class TestClaims:
    def test_are_not_written_to_by_a_request(self, browser, server):
        server.claims.update(team="a", groups=[{"name": "x"}])
        browser.sign_in()
        for _ in range(3):
            claims = entry(browser, browser.request("/")).agent.claims
            assert (claims["team"], claims["groups"]) == ("a", [{"name": "x"}])
            claims["team"] = "b"
            claims["groups"][0]["name"] = "y"


TOKENS = Tokens(access_token="at", id_token=None, refresh_token=None, scopes=None, expires_in=3_600)


class TestMemory:
    """Of the cookies that were verified."""

    def read(self, browser, number):
        site = browser.relying_party._site
        cookie = session_cookie(open_session({"sub": f"agent_{number}"}, TOKENS, site), site)
        visit = ValueVisit("GET", "/", {"cookie": f"{cookie.name}={cookie.value}"})
        reader = browser.relying_party._sessions
        assert reader.read(visit, site.clock()).session.agent.id == f"agent_{number}"
        return lambda: reader.recall(visit.cookie_key)

    def test_is_bounded(self, browser):
        recalled = [self.read(browser, number) for number in range(MAX_REMEMBERED + 10)]
        assert sum(recall() is not None for recall in recalled) == MAX_REMEMBERED
        assert recalled[-1]() is not None, "the oldest go"

    def test_ends_with_a_logout(self, browser):
        browser.sign_in()
        recall = self.read(browser, 8)
        browser.request("/auth-agent/logout", method="POST", headers={})
        assert recall() is None


class TestAgentThatDoesNotFit:
    def test_further_claims_go_first(self, browser, server):
        server.claims["portrait"] = "x" * 5_000
        browser.sign_in()
        assert browser.agent.id == "agent_7"
        assert "portrait" not in browser.agent.claims

    def test_then_the_sign_in_is_refused(self, browser, server):
        server.claims["name"] = "x" * 5_000
        assert cause(browser.sign_in()) == "agent_too_large"


class TestResponseHeaders:
    @pytest.mark.parametrize(
        ("before", "vary", "control"),
        [
            ([], "Cookie, Authorization", "private"),
            ([("vary", "Accept")], "Accept, Cookie, Authorization", "private"),
            ([("Vary", "cookie")], "cookie, Authorization", "private"),
            ([("Vary", "*")], "*", "private"),
            ([("Cache-Control", "public, max-age=60")], None, "max-age=60, private"),
            ([("Cache-Control", "max-age=60, s-maxage=600")], None, "max-age=60, private"),
            (
                [("Cache-Control", "must-understand, no-store, max-age=60")],
                None,
                "must-understand, no-store, max-age=60, private",
            ),
            ([("Cache-Control", "no-store")], None, "no-store"),
            ([("Cache-Control", "private")], None, "private"),
        ],
    )
    def test_a_response_for_which_the_agent_was_read_is_private(self, before, vary, control):
        after = {name.lower(): value for name, value in private_headers(before)}
        assert after["vary"] == (vary or "Cookie, Authorization")
        assert after["cache-control"] == control

    @pytest.mark.parametrize(
        "name", ["CDN-Cache-Control", "Surrogate-Control", "cloudflare-cdn-cache-control"]
    )
    def test_no_network_keeps_what_is_for_one_agent(self, name):
        """Removes such a header, because it would outweigh Cache-Control there."""
        cookie = Cookie("a", "b", 60, secure=True)
        before = [(name, "public, max-age=600"), ("Cache-Control", "max-age=60")]
        assert name not in dict(private_headers(before))
        assert name not in dict(cookie_headers(before, [cookie]))

    def test_nor_on_the_quick_way_of_asgi(self, browser):
        browser.sign_in()
        sent = []

        async def app(scope, receive, send):
            headers = [(b"CDN-Cache-Control", b"max-age=600"), (b"x", b"y")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def send(message):
            sent.append(message)

        cookie = "; ".join(f"{n}={v}" for n, v in browser.cookies.items()).encode()
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"",
                 "headers": [(b"cookie", cookie)]}  # fmt: skip
        wrapped = AuthAgentMiddleware(app, relying_party=browser.relying_party)
        anyio.run(wrapped, scope, None, send)
        headers = {name.lower(): value for name, value in sent[0]["headers"]}
        assert headers == {
            b"x": b"y", b"vary": b"Cookie, Authorization", b"cache-control": b"private",
        }  # fmt: skip

    def test_a_response_that_sets_a_cookie_is_stored_nowhere(self):
        cookie = Cookie("a", "b", 60, secure=True)
        after = cookie_headers([("Cache-Control", "public"), ("Set-Cookie", "site=1")], [cookie])
        assert ("Cache-Control", "no-store") in after
        assert [v for n, v in after if n == "Set-Cookie"] == ["site=1", cookie.header()]
        assert not re.search("public", str(after))


def test_ten_thousand_garbage_requests_leave_nothing_behind(browser):
    for number in range(10_000):
        browser.cookies = {NAME: f"{number}.garbage", f"{NAME}_login_{number}": "x" * 50}
        browser.request("/")
        browser.request(f"/auth-agent/callback?code=x&state={number:043}")
    assert isinstance(browser, Browser)
    browser.cookies.clear()
    assert browser.sign_in().status == 303


class TestLateAnswers:
    """A request that began before a sign-in or a sign-out, and whose answer comes afterwards."""

    @pytest.fixture
    def late(self, browser, clock):
        """Returns the cookies of a refreshing answer that the browser has not received yet."""
        browser.sign_in()
        slow = browser.twin()
        slow.cookies = dict(browser.cookies)
        clock.advance(1_801)
        answer = slow.request("/").cookies
        assert [cookie.max_age > 0 for cookie in answer] == [True]
        return answer

    def sign_out(self, browser):
        headers = {"sec-fetch-site": "same-origin"}
        assert browser.request("/auth-agent/logout", method="POST", headers=headers).status == 303

    @pytest.mark.parametrize("seconds", [0, 31, 62, 1_762, 3_598])
    def test_do_not_undo_a_sign_out(self, browser, clock, late, seconds):
        self.sign_out(browser)
        browser.keep(late)
        clock.advance(seconds)
        assert browser.agent is None
        assert set(browser.cookies) == {f"{NAME}_out"}, "the answer has cleared the session"

    def test_the_tombstone_lives_as_long_as_the_session_could(self, browser):
        browser.sign_in()
        headers = {"sec-fetch-site": "same-origin"}
        reply = browser.request("/auth-agent/logout", method="POST", headers=headers)
        (tombstone,) = [cookie for cookie in reply.cookies if cookie.name == f"{NAME}_out"]
        assert tombstone.max_age == browser.relying_party.settings.session_lifetime

    @pytest.mark.parametrize("signs_out", [True, False])
    def test_do_not_replace_a_newer_session(self, browser, late, signs_out):
        if signs_out:
            self.sign_out(browser)
        browser.end(browser.begin(), agent={"sub": "agent_8"})
        assert browser.agent.id == "agent_8"
        browser.keep(late)
        assert browser.agent.id == "agent_8"
        self.sign_out(browser)
        browser.keep(late)
        assert browser.agent is None

    def test_many_sessions_one_after_the_other(self, browser, clock):
        late = []
        for number in range(12):
            browser.end(browser.begin(), agent={"sub": f"agent_{number}"})
            assert browser.agent.id == f"agent_{number}"
            clock.advance(1_801)
            slow = browser.twin()
            slow.cookies = dict(browser.cookies)
            late.append(slow.request("/").cookies)
        for answer in late[-4:-1]:
            browser.keep(answer)
            assert browser.agent is None or browser.agent.id == "agent_11"
        assert len(browser.cookies[f"{NAME}_out"]) < 200

    @pytest.mark.parametrize("value", ["", ".", "x", "é", "A" * 9_000, "." * 9_000])
    def test_a_planted_tombstone_ends_nothing(self, browser, value):
        browser.sign_in()
        browser.cookies[f"{NAME}_out"] = value
        outcome = browser.request("/")
        assert (outcome.agent is not None, outcome.cookies) == (True, ())


class TestSocket:
    def enter(self, browser):
        cookie = "; ".join(f"{n}={v}" for n, v in browser.cookies.items())
        headers = {"cookie": cookie, "origin": "https://shop.example"}
        visit = ValueVisit("GET", "/", headers)
        outcome = browser.relying_party.enter_socket(visit)
        if not isinstance(outcome, Pass):
            outcome = browser.run(outcome, browser.server)
        return outcome.agent

    def test_ends_for_a_disabled_agent_when_http_does(self, browser, server, clock):
        browser.sign_in()
        server.active.clear()
        clock.advance(1_799)
        assert self.enter(browser) is not None
        clock.advance(2)
        assert self.enter(browser) is None
        assert browser.twin().agent is None

    def test_goes_on_for_a_good_agent(self, browser, clock):
        browser.sign_in()
        clock.advance(1_801)
        assert self.enter(browser) is not None


def test_claims_that_do_not_fit_are_told_of(browser, caplog):
    groups = ["g" * 40 for _ in range(60)]
    with caplog.at_level("WARNING", "auth_agent"):
        browser.end(browser.begin(), agent={"groups": groups})
    assert browser.agent.claims == {}
    (told,) = [r.auth_agent for r in caplog.records if r.auth_agent["event"] == "claims_dropped"]
    assert told == {
        "event": "claims_dropped", "agent": "agent_7", "count": 2, "size": told["size"],
        "limit": 4_000,
    }  # fmt: skip
    assert told["size"] > 2_400
    assert "g" * 40 not in caplog.text


class TestFoldedCookies:
    """Of several `Cookie` headers that a WSGI server has joined by commas."""

    @pytest.mark.parametrize(
        ("header", "found"),
        [
            (f"a=b, {NAME}=s", "s"),
            (f"a=b,{NAME}=s; c=d", "s"),
            (f"{NAME}=s, a=b", "s"),
            (f"{NAME}=s, a=b; c=d, e=f", "s"),
            (f"a=b, {NAME}=planted; {NAME}=s", "s"),
            (f"{NAME}=s; a=b, {NAME}=planted", "s"),
            ("a=b, c; d=e", None),
            (f"a=b, x{NAME}=planted", None),
            (f"a=b, {NAME}_out=m", None),
        ],
    )
    def test_are_told_apart(self, header, found):
        assert find_cookie(unfold_cookies(header), NAME) == found

    @pytest.mark.parametrize(
        "header", [f"a=b, {NAME}=planted; {NAME}_2=s", f"{NAME}_2=s; a=b,{NAME}=planted"]
    )
    def test_none_counts_before_the_session_under_its_other_name(self, header):
        unfolded = unfold_cookies(header)
        assert find_cookie(unfolded, NAME) is None
        assert find_cookie(unfolded, f"{NAME}_2") == "s"

    def test_a_session_keeps_the_marks_of_those_that_have_ended(self):
        for header in (f"{NAME}_2=s,{NAME}_out=m", f"{NAME}_out=m, {NAME}_2=s"):
            unfolded = unfold_cookies(header)
            found = [find_cookie(unfolded, name) for name in (NAME, f"{NAME}_2", f"{NAME}_out")]
            assert found == [None, "s", "m"]

    def test_others_are_left_alone(self):
        header = 'a=1, 2, 3; b="x, y"'
        assert unfold_cookies(header).startswith(header)
        assert list(split_cookies(unfold_cookies(header))) == [("a", "1, 2, 3"), ("b", '"x, y"')]
