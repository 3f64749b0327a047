"""The redirect and the callback."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import pytest

from auth_agent import ServerUnavailable, SignInRefused
from auth_agent.flow.exchange import HttpResponse
from auth_agent.testing.issuer import ABSENT
from auth_agent.testing.provider import json_response
from auth_agent.website.config.seal import Seal
from auth_agent.website.sign_in import transaction
from auth_agent.website.sign_in.transaction import SpentStates
from tests.website.browser import NAVIGATION, SESSION_COOKIE, ValueVisit, cause, location, relative


def query(url):
    return dict(parse_qsl(urlsplit(url).query))


class TestRedirect:
    def test_carries_what_oauth_2_1_and_openid_connect_want(self, browser):
        sent = query(browser.begin())
        assert sent["response_type"] == "code"
        assert sent["client_id"] == "client_shop"
        assert sent["redirect_uri"] == "https://shop.example/auth-agent/callback"
        assert sent["scope"] == "openid profile email"
        assert sent["code_challenge_method"] == "S256"
        for name in ("state", "nonce", "code_challenge"):
            assert len(sent[name]) == 43, name

    def test_the_host_of_the_request_has_no_say(self, browser):
        headers = {**NAVIGATION, "host": "evil.example", "x-forwarded-host": "evil.example",
                   "x-forwarded-proto": "http", "forwarded": "host=evil.example"}  # fmt: skip
        reply = browser.request("/auth-agent/login", headers=headers)
        assert "evil" not in location(reply)

    def test_no_two_are_alike(self, browser):
        first, second = query(browser.begin()), query(browser.begin())
        for name in ("state", "nonce", "code_challenge"):
            assert first[name] != second[name]

    def test_an_audience_is_asked_for_only_when_set(self, browser, make_site):
        assert "resource" not in query(browser.begin())
        site = make_site(audience="https://api.shop.example")
        assert query(site.begin())["resource"] == "https://api.shop.example"

    def test_and_with_the_code(self, browser, make_site, server):
        """Names the resource for each access token (RFC 8707 2.2)."""
        site = make_site(audience="https://api.shop.example")
        for visitor, asked in ((browser, []), (site, ["https://api.shop.example"])):
            visitor.sign_in()
            (sent,) = [one for one in server.requests if one.url.endswith("/token")]
            assert parse_qs(sent.body.decode()).get("resource", []) == asked
            server.requests.clear()

    def test_a_query_of_the_endpoint_is_kept(self, browser, server):
        server.metadata["authorization_endpoint"] = "https://auth.example/authorize?tenant=7"
        assert query(browser.begin())["tenant"] == "7"

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-purpose": "prefetch"},
            {"sec-purpose": "prefetch;prerender"},
            {"purpose": "prefetch"},
            {"x-moz": "prefetch"},
            {"sec-fetch-mode": "cors"},
            {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        ],
    )
    def test_what_is_no_navigation_starts_nothing(self, browser, server, headers):
        reply = browser.request("/auth-agent/login", headers=headers)
        assert reply.status == 403
        assert browser.cookies == {}
        assert server.requests == []

    @pytest.mark.parametrize("headers", [{}, {"accept": "*/*", "user-agent": "curl/8"}])
    def test_an_agent_without_browser_headers_may_start(self, browser, headers):
        assert browser.request("/auth-agent/login", headers=headers).status == 303

    def test_other_methods_are_refused(self, browser):
        reply = browser.request("/auth-agent/login", method="POST")
        assert (reply.status, dict(reply.headers)["Allow"]) == (405, "GET, HEAD")


class TestCallback:
    def test_returns_to_the_page_and_leaves_one_cookie(self, browser):
        reply = browser.sign_in("/orders?open=1")
        assert (reply.status, location(reply)) == (303, "/orders?open=1")
        assert list(browser.cookies) == [SESSION_COOKIE]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"state": ABSENT}, "state_missing"),
            ({"state": ""}, "state_missing"),
            ({"state": "x" * 43}, "state_unknown"),
            ({"state": "../../etc"}, "state_unknown"),
            ({"state": "é" * 43}, "state_unknown"),
            ({"iss": "https://evil.example"}, "issuer_mismatch"),
            ({"iss": "https://auth.example/"}, "issuer_mismatch"),
            ({"iss": ABSENT}, "issuer_missing"),
            ({"code": ABSENT}, "code_missing"),
            ({"code": ["a", "b"]}, "duplicate_parameter"),
            ({"iss": ["https://auth.example", "https://auth.example"]}, "duplicate_parameter"),
            ({"error": ["access_denied", "access_denied"]}, "duplicate_parameter"),
            ({"code": "a" * 9_000}, "query_too_large"),
        ],
    )
    def test_a_wrong_answer_is_refused(self, browser, server, change, code):
        reply = browser.end(browser.begin(), **change)
        assert (cause(reply), reply.status) == (code, 400)
        assert b"/auth-agent/login?next=" in reply.body, "there is a way to start again"
        assert server.count("/token") == 0
        assert browser.agent is None

    def test_what_is_not_ours_to_know_is_ignored(self, browser):
        """Ignores unrecognized parameters, however often they come (RFC 6749 4.1.2)."""
        assert browser.end(browser.begin(), session_state=["a", "b"]).status == 303

    def test_a_missing_issuer_is_fine_where_none_is_promised(self, browser, server):
        server.metadata["authorization_response_iss_parameter_supported"] = ABSENT
        assert browser.end(browser.begin(), iss=ABSENT).status == 303

    def test_a_state_works_once(self, browser, server):
        callback = relative(server.approve(browser.begin()))
        kept = dict(browser.cookies)
        assert browser.request(callback).status == 303
        assert cause(browser.request(callback)) == "state_reused"
        browser.cookies.update(kept)  # a thief's copy of the cookie does not help either
        assert cause(browser.request(callback)) == "state_reused"
        assert server.count("/token") == 1

    def test_a_state_works_in_its_own_browser_only(self, browser):
        reply = browser.twin().end(browser.begin())
        assert cause(reply) == "login_cookie_missing"

    def test_a_state_works_at_its_own_issuer_only(self, browser, make_site, server):
        """Derives the keys for the issuer: a cookie of another issuer's sign-in opens nothing."""
        url = browser.begin()
        server.issuer = "https://other.example"
        other = make_site()
        other.cookies = browser.cookies
        assert cause(other.end(url)) == "login_cookie_unreadable"

    def test_a_state_ends_after_half_an_hour(self, browser, clock):
        url = browser.begin()
        clock.advance(1_799)
        late = browser.begin()
        assert browser.end(url).status == 303
        clock.advance(1_801)
        assert cause(browser.end(late)) == "state_expired"

    def test_a_transaction_cannot_be_moved_to_another_state(self, browser):
        first, second = browser.begin("/one"), browser.begin("/two")
        names = list(browser.cookies)
        browser.cookies = {names[1]: browser.cookies[names[0]]}
        assert cause(browser.end(second)) == "login_cookie_unreadable"
        assert first != second

    def test_a_declined_sign_in_says_so(self, browser):
        reply = browser.end(browser.begin(), error="access_denied", code=ABSENT)
        assert (cause(reply), reply.status) == ("access_denied", 403)
        assert b"The sign-in was cancelled, or the agent" in reply.body
        assert b"agent declined" not in reply.body

    def test_an_error_is_shown_safely(self, browser):
        reply = browser.end(
            browser.begin(),
            error="<script>alert(1)</script>",
            error_description="<script>alert(2)</script>",
        )
        assert reply.status == 400
        assert b"<script" not in reply.body

    def test_an_error_clears_only_its_own_transaction(self, browser):
        first, second = browser.begin("/one"), browser.begin("/two")
        assert browser.end(first, error="server_error").status == 400
        assert location(browser.end(second)) == "/two"

    def test_nothing_on_the_callback_ends_a_good_session(self, browser):
        browser.sign_in()
        for change in ({"error": "access_denied"}, {"state": "x" * 43}, {"iss": "https://evil"}):
            assert browser.end(browser.begin(), **change).status in (400, 403)
            assert browser.agent.id == "agent_7"

    def test_every_sign_in_makes_a_new_session(self, browser):
        browser.sign_in()
        first = browser.cookies[SESSION_COOKIE]
        browser.sign_in()
        assert first not in browser.cookies.values()
        assert len(browser.cookies) == 2, "the new session, and the tombstone of the old one"

    def test_other_methods_are_refused(self, browser):
        assert browser.request("/auth-agent/callback", method="POST").status == 405


class TestWhyThereIsNoSignIn:
    """A callback without a sign-in of this browser: each cause with its own code and remedy."""

    def end_at(self, browser, host, callback, **headers):
        return browser.request(callback, headers={**NAVIGATION, "host": host, **headers})

    def test_no_cookie_at_all(self, browser, server, caplog):
        callback = relative(server.approve(browser.begin()))
        browser.cookies.clear()
        with caplog.at_level("WARNING", "auth_agent"):
            reply = self.end_at(browser, "shop.example", callback)
        assert cause(reply) == "login_cookie_missing"
        assert b"Allow cookies for this website" in reply.body
        assert "login_cookie_missing" in caplog.text
        assert "Allow cookies for this website" in caplog.text

    @pytest.mark.parametrize("host", ["127.0.0.1:8000", "web-7", "app:8000"])
    def test_the_name_between_a_proxy_and_the_website_is_shown_to_no_visitor(self, browser, host):
        reply = self.end_at(browser, host, f"/auth-agent/callback?state={'s' * 43}")
        assert cause(reply) == "login_cookie_missing"
        assert host.encode() not in reply.body

    @pytest.mark.parametrize(
        ("base_url", "host", "shown"),
        [
            ("http://localhost:8000", "127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://127.0.0.1:8000", "localhost:8000", "http://localhost:8000"),
            ("https://shop.example", "www.shop.example", "https://www.shop.example"),
        ],
    )
    def test_another_host_names_both(self, make_site, base_url, host, shown):
        site = make_site(base_url=base_url)
        headers = {"accept": "application/json", "host": host}
        reply = site.request(f"/auth-agent/callback?state={'s' * 43}", headers=headers)
        document = json.loads(reply.body)
        assert document["error"] == "other_host"
        assert f"{shown}, and this website is {base_url}" in document["error_description"]
        assert "AUTH_AGENT_BASE_URL" in document["error_description"]

    @pytest.mark.parametrize(
        "host", ["", "a b", "<b>.example", "x" * 200 + ".example", "shop.example/x", "[::1", "é.ex"]
    )
    def test_a_host_that_is_none_is_not_shown(self, browser, host):
        reply = self.end_at(browser, host, f"/auth-agent/callback?state={'s' * 43}")
        assert cause(reply) == "login_cookie_missing"
        assert not host or host.encode() not in reply.body

    def test_a_cookie_that_another_secret_has_sealed(self, make_site, server, caplog):
        one, two = make_site(secret="o" * 40), make_site(secret="n" * 40)
        two.cookies = one.cookies
        with caplog.at_level("WARNING", "auth_agent"):
            reply = two.end(one.begin())
        assert cause(reply) == "login_cookie_unreadable"
        assert b"is AUTH_AGENT_SECRET the same in every worker?" in reply.body
        assert "is AUTH_AGENT_SECRET the same in every worker?" in caplog.text
        assert server.count("/token") == 0

    def test_an_expired_one_whose_cookie_the_browser_still_has(self, browser, clock):
        reply = browser.request("/auth-agent/login")
        (kept,) = reply.cookies
        assert kept.max_age > transaction.LIFETIME
        clock.advance(transaction.LIFETIME + 1)
        assert cause(browser.end(location(reply))) == "state_expired"

    def test_a_stranger_with_a_used_state_does_not_learn_that_it_was_used(self, browser, server):
        callback = relative(server.approve(browser.begin()))
        browser.request(callback)
        fresh = relative(server.approve(browser.twin().begin()))
        strangers = [browser.twin(), browser.twin()]
        strangers[1].sign_in()
        for stranger in strangers:
            used, unused = stranger.request(callback), stranger.request(fresh)
            assert cause(used) == cause(unused) != "state_reused"
            assert used.body == unused.body

    def test_none_of_them_signs_a_good_session_out(self, browser, server, make_site):
        browser.sign_in()
        used = relative(server.approve(browser.begin()))
        browser.request(used)
        kept = dict(browser.cookies)
        for callback in (used, f"/auth-agent/callback?state={'s' * 43}"):
            for host in ("shop.example", "www.shop.example"):
                assert self.end_at(browser, host, callback).status == 400
                assert browser.cookies == kept
        assert browser.agent.id == "agent_7"


def test_a_transaction_of_another_release_is_none_of_ours(browser):
    """Ignores what is sealed with our secret but has another shape."""
    settings = browser.relying_party.settings
    seal = Seal(settings.secret, settings.issuer, settings.client_id, settings.base_url)
    url = browser.begin()
    (name,) = browser.cookies
    browser.cookies[name] = seal.encrypt("transaction", b'{"another": "shape"}', bound_to=name)
    assert cause(browser.end(url)) == "state_unknown"
    assert browser.sign_in().status == 303


class TestManyTabs:
    def test_twenty_tabs_return_to_their_own_pages(self, browser):
        tabs = {f"/page/{number}": browser.begin(f"/page/{number}") for number in range(20)}
        for page, url in reversed(tabs.items()):
            assert location(browser.end(url)) == page

    def test_a_thousand_abandoned_logins_stay_small_and_the_newest_works(self, browser):
        for number in range(1_000):
            url = browser.begin(f"/page/{number}")
            logins = [n for n in browser.cookies if "login" in n]
            assert len(logins) <= 20
        header = "; ".join(f"{n}={v}" for n, v in browser.cookies.items())
        assert len(header) < 4_096
        assert location(browser.end(url)) == "/page/999"

    def test_long_pages_are_bounded_together(self, browser):
        """Shortens the pages' addresses before it drops a sign-in; all of them end."""
        pages = [f"/{number}/{'a' * 200}?q={'b' * 600}" for number in range(20)]
        urls = [browser.begin(quote(page)) for page in pages]
        header = "; ".join(f"{n}={v}" for n, v in browser.cookies.items())
        assert len(header) <= 5_120
        assert location(browser.end(urls[0])) == pages[0]
        returned = [location(browser.end(url)) for url in urls[1:]]
        bare = {page.partition("?")[0] for page in pages}
        assert set(returned) <= {"/", *pages, *bare}
        assert bare & set(returned)

    @pytest.mark.parametrize(("count", "size"), [(3, 900), (4, 600)])
    def test_a_few_long_pages_all_return_near_their_page(self, browser, count, size):
        urls = [browser.begin(quote(f"/p{n}?{'x' * size}")) for n in range(count)]
        returned = [location(browser.end(url)) for url in urls]
        assert [one.partition("?")[0] for one in returned] == [f"/p{n}" for n in range(count)]

    def test_what_another_worker_may_read_stays_while_there_is_room(self, make_site):
        """Covers a change of secrets."""
        old, new = make_site(secret="o" * 40), make_site(secret=["n" * 40, "o" * 40])
        old.cookies = new.cookies
        url = new.begin("/one")
        other = old.begin("/two")
        assert location(new.end(url)) == "/one"
        assert location(new.end(other)) == "/two"

    def test_two_sites_on_one_loopback_host_do_not_disturb_each_other(self, make_site):
        """Cookies know no ports."""
        one, two = (make_site(base_url=f"http://localhost:{port}") for port in (8000, 8001))
        two.cookies = one.cookies
        url = one.begin("/one")
        for _ in range(25):
            two.begin("/two")
        assert location(one.end(url)) == "/one"

    def test_the_oldest_goes_first_in_whatever_order_they_come(self, browser, clock):
        urls = []
        for _ in range(20):
            clock.advance(1)
            urls.append(browser.begin())
            browser.cookies = dict(reversed(browser.cookies.items()))
        clock.advance(1)
        browser.begin()
        assert cause(browser.end(urls[0])) == "state_unknown"
        assert browser.end(urls[1]).status == 303

    def test_what_has_expired_goes_although_there_is_room(self, browser, clock):
        browser.begin()
        (first,) = browser.cookies
        clock.advance(1_800)
        browser.begin()
        assert first not in browser.cookies

    def test_the_oldest_goes_first_and_planted_ones_before_it(self, browser, clock):
        for number in range(30):
            browser.cookies[f"{SESSION_COOKIE}_login_{number:012}"] = "planted"
        urls = []
        for _ in range(20):
            clock.advance(1)
            urls.append(browser.begin())
        assert not [value for value in browser.cookies.values() if value == "planted"]
        assert browser.end(urls[0]).status == 303


def test_ended_sign_ins_are_remembered_within_bounds(browser):
    site, spent = browser.relying_party._site, SpentStates(limit=10)
    visit = ValueVisit("GET", "/", {})
    begun = [transaction.begin(visit, "/", site)[0] for _ in range(30)]
    for each in begun:
        spent.spend(each, site.clock())
    assert len(spent._until) == 10
    with pytest.raises(SignInRefused):
        spent.spend(begun[-1], site.clock())


class TestTokenEndpoint:
    def test_gets_the_code_with_its_verifier_and_redirect_uri(self, browser, server):
        url = browser.begin()
        browser.end(url)
        request = next(r for r in server.requests if r.url.endswith("/token"))
        form = {name: value[0] for name, value in parse_qs(request.body.decode()).items()}
        assert form["grant_type"] == "authorization_code"
        assert form["redirect_uri"] == "https://shop.example/auth-agent/callback"
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert challenge == query(url)["code_challenge"]

    def test_basic_credentials_are_form_urlencoded(self, browser, server):
        browser.sign_in()
        request = next(r for r in server.requests if r.url.endswith("/token"))
        credentials = dict(request.headers)["Authorization"].removeprefix("Basic ")
        pair = base64.b64decode(credentials).decode()
        assert pair == "client_shop:cs_a+secret%3A+with%2Bsigns"

    @pytest.mark.parametrize(
        ("advertised", "setting", "used"),
        [
            (["client_secret_post"], None, "client_secret_post"),
            (["client_secret_post", "client_secret_basic"], None, "client_secret_basic"),
            (ABSENT, None, "client_secret_basic"),
            (["client_secret_basic"], "client_secret_post", "client_secret_post"),
            (["none"], "none", "none"),
        ],
    )
    def test_the_method_is_set_or_found(self, make_site, server, advertised, setting, used):
        server.metadata["token_endpoint_auth_methods_supported"] = advertised
        site = make_site(client_auth=setting)
        assert site.sign_in().status == 303
        request = next(r for r in server.requests if r.url.endswith("/token"))
        form = parse_qs(request.body.decode())
        assert ("Authorization" in dict(request.headers)) == (used == "client_secret_basic")
        assert ("client_secret" in form) == (used == "client_secret_post")
        assert ("client_id" in form) == (used != "client_secret_basic")

    def test_no_common_method_is_said(self, browser, server):
        server.metadata["token_endpoint_auth_methods_supported"] = ["tls_client_auth"]
        assert cause(browser.sign_in()) == "client_auth_unsupported"

    @pytest.mark.parametrize(
        ("answer", "code", "status"),
        [
            (HttpResponse(500, {}, b"oops"), "server_unavailable", 503),
            (HttpResponse(429, {}, b""), "server_unavailable", 503),
            (ServerUnavailable("connection refused"), "server_unavailable", 503),
            (HttpResponse(200, {}, b"<html>"), "server_misbehaved", 502),
            (HttpResponse(200, {}, b"[]"), "server_misbehaved", 502),
            (HttpResponse(200, {}, b"[" * 100_000), "answer_too_deep", 502),
            (HttpResponse(302, {"location": "https://evil"}, b""), "server_misbehaved", 502),
            (json_response(400, {"error": "invalid_grant"}), "invalid_grant", 400),
            (json_response(401, {"error": "invalid_client"}), "invalid_client", 502),
            (json_response(400, {"error": "<b>"}), "token_refused", 502),
        ],
    )  # fmt: skip
    def test_a_bad_answer_is_refused_and_the_site_goes_on(
        self, browser, server, answer, code, status
    ):
        server.answers["/token"] = answer
        reply = browser.sign_in()
        assert (cause(reply), reply.status) == (code, status)
        assert ("Retry-After" in dict(reply.headers)) == (status == 503)
        assert server.count("/token") == 1, "a code is never sent twice"
        assert browser.agent is None
        del server.answers["/token"]
        assert browser.sign_in().status == 303

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("token_type", "mac", "token_type_unsupported"),
            ("token_type", ABSENT, "token_type_unsupported"),
            ("access_token", ABSENT, "access_token_missing"),
            ("access_token", 7, "access_token_missing"),
            ("id_token", ABSENT, "id_token_missing"),
            ("refresh_token", 7, "token_response_invalid"),
            ("scope", ["openid", 7], "token_response_invalid"),
        ],
    )
    def test_a_malformed_answer_is_refused(self, browser, server, field, value, code):
        server.token_response[field] = value
        reply = browser.sign_in()
        assert (cause(reply), reply.status) == (code, 502)

    @pytest.mark.parametrize("token_type", ["bearer", "BEARER"])
    def test_the_token_type_has_no_case(self, browser, server, token_type):
        server.token_response["token_type"] = token_type
        assert browser.sign_in().status == 303


class TestUserinfo:
    def test_is_asked_only_when_the_id_token_lacks_the_email(self, browser, server):
        browser.sign_in()
        assert server.count("/userinfo") == 0
        server.claims.update(email=ABSENT, email_verified=ABSENT)
        browser.sign_in()
        assert server.count("/userinfo") == 1
        assert (browser.agent.email, browser.agent.email_verified) == ("owner@example.com", True)

    @pytest.mark.parametrize(("mode", "count"), [("always", 1), ("never", 0)])
    def test_can_be_set(self, make_site, server, mode, count):
        site = make_site(userinfo=mode)
        server.claims["email"] = ABSENT if mode == "never" else "owner@example.com"
        assert site.sign_in().status == 303
        assert server.count("/userinfo") == count

    @pytest.mark.parametrize(("scope", "count"), [("openid", 0), ("openid email", 1), (ABSENT, 1)])
    def test_is_asked_only_for_what_was_granted(self, browser, server, scope, count):
        server.claims["email"] = ABSENT
        server.token_response["scope"] = scope
        assert browser.sign_in().status == 303
        assert server.count("/userinfo") == count

    def test_is_not_needed(self, browser, server):
        server.metadata["userinfo_endpoint"] = server.claims["email"] = ABSENT
        assert browser.sign_in().status == 303
        assert browser.agent.email is None

    def test_of_another_agent_is_refused(self, make_site, server):
        server.userinfo["sub"] = "agent_8"
        reply = make_site(userinfo="always").sign_in()
        assert cause(reply) == "userinfo_sub_mismatch"

    @pytest.mark.parametrize(
        ("answer", "code", "status"),
        [
            (HttpResponse(500, {}, b""), "server_unavailable", 503),
            (HttpResponse(429, {}, b""), "server_unavailable", 503),
            (json_response(401, {"sub": "agent_7"}), "userinfo_refused", 502),
            (json_response(302, {"sub": "agent_7"}), "userinfo_refused", 502),
            (json_response(200, []), "server_misbehaved", 502),
            (json_response(200, {}), "userinfo_sub_mismatch", 401),
            (json_response(200, {"sub": ["agent_7"]}), "userinfo_sub_mismatch", 401),
        ],
    )
    def test_that_is_none_signs_nobody_in(self, make_site, server, answer, code, status):
        server.answers["/userinfo"] = answer
        site = make_site(userinfo="always")
        reply = site.sign_in()
        assert (cause(reply), reply.status) == (code, status)
        assert site.agent is None

    def test_does_not_outweigh_what_is_signed(self, make_site, server):
        server.userinfo.update(model="another", email="evil@example.com")
        site = make_site(userinfo="always")
        site.sign_in()
        assert (site.agent.model, site.agent.email) == ("claude-opus-4", "owner@example.com")

    def test_cannot_borrow_the_word_verified(self, browser, server):
        """Refuses to combine an unverified address there with `email_verified` in the ID token."""
        server.claims["email"] = ABSENT
        server.userinfo.update(email="victim@example.com", email_verified=ABSENT)
        browser.sign_in()
        assert (browser.agent.email, browser.agent.email_verified) == ("victim@example.com", False)


@pytest.mark.parametrize("target", ["/deep/page?q=1&r=2", "/sp%20ace", "/ü"])
def test_an_unauthenticated_page_is_returned_to(make_site, target):
    site = make_site(protect="/*")
    reply = site.request(quote(target, safe="/?&=%"))
    assert reply.status == 303
    authorize = location(site.request(location(reply)))
    assert location(site.end(authorize)) == quote(target, safe="/?&=%")
