"""What a whole site decides: report-only, places for humans, explanations, hooks, log events."""

from __future__ import annotations

import logging

import pytest

from auth_agent import RelyingParty, Requirement, SignInRefused
from auth_agent.testing.issuer import ABSENT
from auth_agent.website.web.outcome import Pass
from tests.website.browser import Browser, ValueVisit, cause, entry

JSON = {"accept": "application/json"}


class TestReportOnly:
    @pytest.fixture
    def site(self, make_site):
        return make_site(report_only=True, protect="/private/*", allow_models="gpt-*")

    def test_lets_pass_and_logs_what_it_would_refuse(self, site, caplog):
        with caplog.at_level(logging.WARNING, "auth_agent"):
            assert site.request("/private/x") == Pass(None)
        (record,) = caplog.records
        assert record.auth_agent == {"event": "would_refuse", "rule": "no_agent"}

    def test_lets_a_model_in_that_is_not_allowed(self, site, caplog):
        with caplog.at_level(logging.WARNING, "auth_agent"):
            site.sign_in()
            assert site.agent.id == "agent_7"
        assert caplog.records[-1].auth_agent["rule"] == "AUTH_AGENT_ALLOW_MODELS"

    def test_lets_pass_what_lacks_a_scope(self, site, caplog):
        site.sign_in()
        visit = ValueVisit("GET", "/", JSON)
        with caplog.at_level(logging.WARNING, "auth_agent"):
            assert site.relying_party.require(visit, site.agent, Requirement(scopes="x")) is None
        told = {"event": "would_refuse", "agent": "agent_7", "rule": "scopes"}
        assert caplog.records[-1].auth_agent == told

    def test_says_at_the_start_that_it_is_on(self, make_site, caplog):
        with caplog.at_level(logging.WARNING, "auth_agent"):
            make_site()
            assert not caplog.records
            make_site(report_only="true")
        assert "AUTH_AGENT_REPORT_ONLY" in caplog.text

    @pytest.mark.parametrize("check", ["state", "nonce"])
    def test_switches_off_no_check_of_a_sign_in(self, site, server, check):
        if check == "nonce":
            server.claims["nonce"] = "wrong"
            assert site.sign_in().status == 401
        else:
            assert site.end(site.begin(), state="x" * 43).status == 400

    def test_lets_no_other_website_act(self, site):
        """Refuses a request that another website sent, whatever the policy says."""
        site.sign_in()
        visit = ValueVisit("POST", "/orders", {**JSON, "sec-fetch-site": "cross-site"})
        assert site.relying_party.require_own_request(visit, site.agent).status == 403


class TestPlacesForHumans:
    def test_refuse_agents_and_nobody_else(self, browser):
        visit = ValueVisit("GET", "/captcha", JSON)
        assert browser.relying_party.require_no_agent(visit, None) is None
        browser.sign_in()
        reply = browser.relying_party.require_no_agent(visit, browser.agent)
        assert (reply.status, cause(reply)) == (403, "access_denied")


class TestExplain:
    @pytest.mark.parametrize(
        ("requirement", "admitted", "rule"),
        [
            ({}, True, "all"),
            ({"scopes": "admin"}, False, "scopes"),
            ({"models": ["gpt-*"]}, False, "models"),
            ({"max_age": 0}, True, "all"),
            ({"verified_email": True}, True, "all"),
        ],
    )
    def test_names_the_rule_that_decides(self, browser, requirement, admitted, rule):
        browser.sign_in()
        decision = browser.relying_party.explain(browser.agent, Requirement(**requirement))
        assert (decision.admitted, decision.rule) == (admitted, rule)
        assert decision.reason.endswith(".")

    def test_nobody_is_signed_in(self, browser):
        assert browser.relying_party.explain(None).rule == "agent"

    def test_the_sites_own_rules_come_first(self, make_site):
        open_site, closed = make_site(), make_site(deny_agents="agent_7")
        open_site.sign_in()
        decision = closed.relying_party.explain(open_site.agent, Requirement(scopes="admin"))
        assert decision.rule == "AUTH_AGENT_DENY_AGENTS"


class TestHooks:
    @pytest.fixture
    def heard(self):
        return []

    @pytest.fixture
    def site(self, browser, clock, heard):
        def note(name, result=None):
            def hook(subject):
                heard.append((name, getattr(subject, "id", None) or subject.code))
                return result

            return hook

        party = RelyingParty(
            browser.relying_party.settings,
            on_sign_in=note("in", 42),
            on_refused=note("refused"),
            on_sign_out=note("out"),
            clock=clock,
        )
        return Browser(party, browser.server)

    def test_hear_of_everything(self, site, heard):
        site.sign_in()
        site.end(site.begin(), error="access_denied")
        site.request("/auth-agent/logout", method="POST", headers={})
        assert heard == [("in", "agent_7"), ("refused", "access_denied"), ("out", "agent_7")]

    def test_the_websites_own_account_id_stays_in_the_session(self, site):
        site.sign_in()
        assert site.agent.account_id == "42"

    @pytest.mark.parametrize("hook", [None, lambda agent: None])
    def test_without_one_there_is_none(self, browser, clock, hook):
        party = RelyingParty(browser.relying_party.settings, on_sign_in=hook, clock=clock)
        site = Browser(party, browser.server)
        site.sign_in()
        assert site.agent.account_id is None

    def test_a_hook_may_refuse(self, browser, clock):
        def refuse(agent):
            raise SignInRefused("This account is blocked.", code="blocked", status_code=403)

        settings = browser.relying_party.settings
        site = Browser(RelyingParty(settings, on_sign_in=refuse, clock=clock), browser.server)
        reply = site.sign_in()
        assert (cause(reply), reply.status) == ("blocked", 403)
        assert site.agent is None

    def test_a_hook_that_fails_signs_nobody_in(self, browser, clock):
        def fail(agent):
            raise KeyError("a mistake of the website")

        settings = browser.relying_party.settings
        site = Browser(RelyingParty(settings, on_sign_in=fail, clock=clock), browser.server)
        with pytest.raises(KeyError):
            site.sign_in()
        assert site.agent is None


class TestHooksThatFail:
    @pytest.fixture
    def site(self, browser, clock):
        def fail(subject):
            raise KeyError("a mistake of the website")

        settings = browser.relying_party.settings
        party = RelyingParty(settings, on_refused=fail, on_sign_out=fail, clock=clock)
        return Browser(party, browser.server)

    def test_keep_nobody_signed_in(self, site, caplog):
        site.sign_in()
        reply = site.request("/auth-agent/logout", method="POST", headers={})
        assert reply.status == 303
        assert site.agent is None
        assert "a mistake of the website" in caplog.text

    def test_hide_no_refusal(self, site):
        reply = site.end(site.begin(), error="access_denied")
        assert (cause(reply), reply.status) == ("access_denied", 403)


class TestWelcome:
    """A hook that is asked at every request: accounts may be blocked at any time."""

    @pytest.fixture
    def blocked(self):
        return set()

    @pytest.fixture
    def site(self, make_site, clock, blocked):
        browser = make_site(protect="/private/*")
        party = RelyingParty(
            browser.relying_party.settings,
            is_welcome=lambda agent: agent.id not in blocked,
            clock=clock,
        )
        return Browser(party, browser.server)

    def test_a_blocked_agent_is_nobody_at_its_next_request(self, site, blocked):
        site.sign_in()
        assert site.agent is not None
        blocked.add("agent_7")
        assert site.agent is None
        reply = site.request("/private/x", headers=JSON)
        assert (reply.status, cause(reply)) == (403, "access_denied")
        page = site.request("/private/x")
        assert page.status == 403, "not led to a login that would only lead back"
        blocked.clear()
        assert site.agent is not None

    def test_nobody_is_asked_after(self, site):
        assert site.request("/") == Pass(None)

    def test_a_blocked_agents_token_is_worth_nothing(self, site, server, blocked):
        headers = {"authorization": f"Bearer {server.access_token()}"}
        assert site.request("/private/x", headers=headers).agent.id == "agent_7"
        blocked.add("agent_7")
        assert site.request("/private/x", headers=headers).status == 403

    def test_what_the_hook_writes_into_the_claims_is_for_this_request(self, make_site, clock):
        browser, seen = make_site(), []

        def is_welcome(agent):
            seen.append(dict(agent.claims))
            agent.claims["plan"] = "free"
            return True

        party = RelyingParty(browser.relying_party.settings, is_welcome=is_welcome, clock=clock)
        site = Browser(party, browser.server)
        site.sign_in()
        for _ in range(2):
            assert entry(site, site.request("/")).agent.claims["plan"] == "free"
        assert all("plan" not in claims for claims in seen)

    def test_anything_but_true_is_no(self, make_site, clock):
        browser = make_site()
        settings = browser.relying_party.settings
        for answer in (None, 1, "yes", False):
            party = RelyingParty(settings, is_welcome=lambda agent, a=answer: a, clock=clock)
            site = Browser(party, browser.server)
            site.sign_in()
            assert site.agent is None


FOREIGN = {**JSON, "sec-fetch-site": "same-site", "origin": "https://evil.shop.example"}


class TestOwnRequests:
    """For what changes something where no framework's own protection stands."""

    @pytest.mark.parametrize(
        ("method", "headers", "refused"),
        [
            ("POST", {"sec-fetch-site": "same-origin"}, False),
            ("POST", {"sec-fetch-site": "same-site"}, True),
            ("POST", {"sec-fetch-site": "cross-site"}, True),
            ("DELETE", {"origin": "https://evil.example"}, True),
            ("POST", {"origin": "https://shop.example"}, False),
            ("POST", {}, False),
            ("GET", {"sec-fetch-site": "cross-site"}, False),
        ],
    )
    def test_another_websites_request_does_not_act(self, browser, method, headers, refused):
        browser.sign_in()
        visit = ValueVisit(method, "/orders", {**JSON, **headers})
        reply = browser.relying_party.require_own_request(visit, browser.agent)
        assert (reply is not None and reply.status == 403) is refused

    def test_no_guard_takes_it_unless_it_is_told_to(self, make_site):
        browser = make_site(protect="/private/*")
        browser.sign_in()
        party, agent = browser.relying_party, browser.agent
        visit = ValueVisit("POST", "/orders", FOREIGN)
        reply = party.require(visit, agent)
        assert (reply.status, cause(reply)) == (403, "access_denied")
        assert party.require(visit, agent, Requirement(dangerously_allow_cross_site=True)) is None
        assert party.require(visit, agent, Requirement(scopes="email")).status == 403
        assert browser.request("/private/x", method="POST", headers=FOREIGN).status == 403
        own = {**JSON, "sec-fetch-site": "same-origin"}
        assert browser.request("/private/x", method="POST", headers=own).agent is not None
        assert browser.request("/private/x", headers=FOREIGN).agent is not None

    def test_a_rule_of_paths_can_be_told_to_take_it(self, make_site):
        browser = make_site(protect="/private/*", dangerously_allow_cross_site=True)
        browser.sign_in()
        outcome = browser.request("/private/x", method="POST", headers=FOREIGN)
        assert outcome.agent is not None

    def test_a_token_is_not_sent_by_a_browser_of_its_own_accord(self, browser, server):
        headers = {"authorization": f"Bearer {server.access_token()}"}
        agent = browser.request("/", headers=headers).agent
        visit = ValueVisit("POST", "/orders", {"sec-fetch-site": "cross-site"})
        assert browser.relying_party.require_own_request(visit, agent) is None


class TestEvents:
    def test_one_for_each_thing_that_happens(self, browser, caplog):
        with caplog.at_level(logging.INFO, "auth_agent"):
            browser.sign_in()
            browser.end(browser.begin(), state="x" * 43)
            browser.request("/auth-agent/logout", method="POST", headers={})
        events = [record.auth_agent["event"] for record in caplog.records]
        assert events == ["signed_in", "refused", "signed_out"]
        assert caplog.records[0].getMessage() == "signed_in agent=agent_7 client=client_shop"
        assert caplog.records[1].auth_agent["cause"] == "state_unknown"
        signed_out = caplog.records[2].getMessage()
        assert signed_out == "signed_out agent=agent_7 client=client_shop revoked=True"

    def test_a_refused_agent_is_told_with_its_rule(self, browser, caplog):
        browser.sign_in()
        visit = ValueVisit("GET", "/", JSON)
        with caplog.at_level(logging.INFO, "auth_agent"):
            browser.relying_party.require(visit, browser.agent, Requirement(scopes="x"))
        (record,) = caplog.records
        assert record.auth_agent == {
            "event": "refused",
            "agent": "agent_7",
            "client": "client_shop",
            "cause": "insufficient_scope",
            "rule": "scopes",
        }

    def test_no_line_can_be_forged(self, browser, server, caplog):
        server.agent["sub"] = "agent\nsigned_in agent=admin"
        with caplog.at_level(logging.INFO, "auth_agent"):
            browser.sign_in()
        assert "\n" not in caplog.records[0].getMessage()


class TestIntrospectionIdentity:
    """A server of the original kind: HS256, no keys, no ID token (only when asked for)."""

    @pytest.fixture
    def site(self, make_site, server):
        server.metadata.update(
            jwks_uri=ABSENT,
            id_token_signing_alg_values_supported=ABSENT,
            authorization_response_iss_parameter_supported=ABSENT,
        )
        server.token_response["id_token"] = ABSENT
        return make_site(identity="introspection", scope="profile email")

    def test_takes_the_agent_from_the_server(self, site, server):
        assert site.sign_in().status == 303
        assert (site.agent.id, site.agent.email) == ("agent_7", "owner@example.com")
        assert "active" not in site.agent.claims
        # The agent, and whether this server knows refresh tokens.
        assert server.count("/introspect") == 2

    @pytest.mark.parametrize(
        ("claim", "value", "code"),
        [
            ("active", False, "token_inactive"),
            ("client_id", "client_other", "audience_mismatch"),
            ("client_id", ABSENT, "audience_mismatch"),
            ("sub", ABSENT, "sub_missing"),
        ],
    )
    def test_believes_only_what_is_about_this_sign_in(self, site, server, claim, value, code):
        server.introspection[claim] = value
        assert cause(site.sign_in()) == code

    def test_userinfo_must_be_about_the_same_agent(self, site, server):
        server.userinfo["sub"] = "agent_8"
        assert cause(site.sign_in()) == "userinfo_sub_mismatch"

    def test_can_do_without_userinfo(self, site, server):
        server.metadata["userinfo_endpoint"] = ABSENT
        assert site.sign_in().status == 303
        assert (site.agent.id, server.count("/userinfo")) == ("agent_7", 0)

    def test_needs_the_endpoint(self, site, server):
        server.metadata["introspection_endpoint"] = ABSENT
        assert cause(site.sign_in()) == "metadata_invalid"

    def test_is_not_what_happens_by_itself(self, make_site, server):
        server.token_response["id_token"] = ABSENT
        assert cause(make_site().sign_in()) == "id_token_missing"
