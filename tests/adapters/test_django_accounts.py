"""The three ways to treat an agent, and the pages where an administrator sees it."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import JsonResponse
from django.test import Client
from django.urls import path

from auth_agent import Agent
from auth_agent_django import requires_agent
from auth_agent_django.accounts.arrival import find_profile, find_user, is_blocked
from auth_agent_django.accounts.models import AgentProfile
from tests.adapters.django_world import JSON

pytestmark = pytest.mark.usefixtures("database")


def account(request):
    agent = request.agent
    return JsonResponse({"account": agent.account_id if agent else None, "in": bool(agent)})


URLS = (path("", account), path("admin/", admin.site.urls))
GUARDED = (path("guarded", requires_agent(account)), path("private/report", account))
OWNER = "owner@example.com"


def trust(user, email):
    """Returns True if the website has verified the address: everyone's but Eve's."""
    return user.username != "eve"


@pytest.fixture
def owner():
    return User.objects.create_user("ann", OWNER)


def agent(**changes):
    return Agent(
        **{
            "id": "agent_7",
            "issuer": "https://auth.example",
            "client_id": "client_shop",
            "authenticated_at": 0,
            "expires_at": 9,
            "email": OWNER,
            "email_verified": True,
            **changes,
        }
    )


def test_full_account_the_agent_acts_in_its_owners_account(django, owner):
    shop = django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust)
    shop.sign_in()
    assert shop.get("/").json()["account"] == str(owner.pk)
    profile = AgentProfile.objects.get()
    assert (profile.subject, profile.user, profile.scenario) == ("agent_7", owner, "full")
    assert (profile.issuer, profile.model) == (shop.provider.issuer, "claude-opus-4")


def test_full_account_without_one_is_signed_in_without_an_account(django):
    shop = django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust)
    shop.sign_in()
    assert shop.get("/").json() == {"account": None, "in": True}
    assert AgentProfile.objects.get().user is None


def test_contextual_the_agent_has_a_profile_linked_to_its_owner(django, owner):
    shop = django(urls=URLS, ACCOUNTS="contextual", EMAIL_IS_VERIFIED=trust)
    shop.sign_in()
    profile = AgentProfile.objects.get()
    assert shop.get("/").json()["account"] == str(profile.pk)
    assert (profile.user, profile.owner_email, profile.owner_email_verified) == (owner, OWNER, True)


def test_fresh_the_agent_has_a_profile_and_no_email_is_asked_for(django, owner):
    shop = django(urls=URLS, ACCOUNTS="fresh", EMAIL_IS_VERIFIED=trust)
    assert "scope=openid+profile&" in shop.get("/auth-agent/login")["Location"]
    shop.sign_in()
    profile = AgentProfile.objects.get()
    assert shop.get("/").json()["account"] == str(profile.pk)
    assert (profile.user, profile.owner_email, profile.owner_email_verified) == (None, "", False)


def test_an_agent_that_comes_again_is_the_same(django):
    shop = django(urls=URLS, ACCOUNTS="contextual")
    shop.sign_in()
    first = AgentProfile.objects.get()
    shop.sign_in(agent={"model": "claude-opus-5", "email": "other@example.com"})
    again = AgentProfile.objects.get()
    assert (again.pk, again.model, again.owner_email) == (
        first.pk, "claude-opus-5", "other@example.com",
    )  # fmt: skip
    assert again.first_seen == first.first_seen
    assert again.last_seen > first.last_seen


def test_the_same_name_from_another_issuer_is_somebody_else(django):
    AgentProfile.objects.create(issuer="https://other.example", subject="agent_7", blocked=True)
    shop = django(urls=URLS, ACCOUNTS="fresh")
    assert shop.sign_in().status_code == 303
    assert AgentProfile.objects.count() == 2


@pytest.mark.parametrize("scenario", ["full", "contextual"])
@pytest.mark.parametrize(
    "unproven",
    [
        {"email_verified": False},
        {"email_verified": "yes"},
        {"email": None},
        {"email": "other@example.com"},
    ],
)
def test_an_unverified_email_of_the_agent_finds_no_account(django, owner, scenario, unproven):
    shop = django(urls=URLS, ACCOUNTS=scenario, EMAIL_IS_VERIFIED=trust)
    shop.sign_in(agent=unproven)
    assert AgentProfile.objects.get().user is None
    assert shop.get("/").json()["account"] != str(owner.pk) or scenario == "contextual"


@pytest.mark.parametrize(
    "verified", [None, lambda user, email: False, lambda user, email: "yes", lambda *_: None]
)
def test_an_unverified_email_of_the_user_is_not_found(django, owner, verified):
    shop = django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=verified)
    shop.sign_in()
    assert shop.get("/").json() == {"account": None, "in": True}


def test_a_link_that_no_longer_holds_is_gone_at_the_next_sign_in(django, owner):
    shop = django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust)
    shop.sign_in()
    assert AgentProfile.objects.get().user == owner
    shop.sign_in(agent={"email_verified": False})
    assert AgentProfile.objects.get().user is None
    assert shop.get("/").json()["account"] is None


@pytest.mark.parametrize(
    "others",
    [
        [{"username": "bob", "email": OWNER}],
        [{"username": "bob", "email": OWNER.upper()}, {"username": "eve", "email": OWNER}],
    ],
)
def test_two_accounts_with_one_address_are_none(owner, others):
    for other in others:
        User.objects.create_user(**other)
    assert find_user(agent(), trust) is None


def test_an_account_that_is_not_verified_does_not_stand_in_the_way(owner):
    User.objects.create_user("eve", OWNER)
    assert find_user(agent(), trust) == owner
    assert find_user(agent(email=OWNER.upper()), trust) == owner


def test_a_closed_account_is_not_found(owner):
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert find_user(agent(), trust) is None


def test_a_user_who_goes_takes_no_agent_along(django, owner):
    django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust).sign_in()
    owner.delete()
    assert AgentProfile.objects.get().user is None


def test_the_backend_finds_the_owner(settings_with, owner):
    with settings_with(EMAIL_IS_VERIFIED=trust):
        found = authenticate(None, agent=agent())
        assert found == owner
        assert found.backend.endswith("AuthAgentBackend")
        assert authenticate(None, agent=agent(email_verified=False)) is None
        assert authenticate(None, username="ann", password="wrong") is None
        AgentProfile.objects.create(issuer="https://auth.example", subject="agent_7", blocked=True)
        assert authenticate(None, agent=agent()) is None
    with settings_with():
        assert authenticate(None, agent=agent(id="agent_8")) is None


def test_the_backend_knows_its_users(owner):
    from auth_agent_django.accounts.backend import AuthAgentBackend

    backend = AuthAgentBackend()
    assert backend.get_user(owner.pk) == owner
    User.objects.update(is_active=False)
    assert (backend.get_user(owner.pk), backend.get_user(99)) == (None, None)


@pytest.fixture
def settings_with():
    from django.test import override_settings

    from tests.adapters.test_django_settings import GOOD

    return lambda **own: override_settings(AUTH_AGENT={**GOOD, "ACCOUNTS": "full", **own})


def test_a_blocked_agent_is_refused_at_sign_in(django):
    shop = django(urls=URLS, ACCOUNTS="contextual")
    shop.sign_in()
    shop.post("/auth-agent/logout")
    AgentProfile.objects.update(blocked=True)
    answer = shop.sign_in()
    assert (answer.status_code, answer.json()["error"]) == (403, "agent_blocked")
    assert shop.get("/").json()["in"] is False


def test_and_at_each_request_of_a_session_that_it_still_has(django):
    shop = django(urls=(*URLS, *GUARDED), ACCOUNTS="contextual")
    shop.sign_in()
    assert shop.get("/guarded").status_code == 200
    AgentProfile.objects.update(blocked=True)
    assert shop.get("/").json()["in"] is False
    for name in ("/guarded", "/private/report"):
        answer = shop.get(name, **JSON)
        assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")
    AgentProfile.objects.update(blocked=False)
    assert shop.get("/guarded").status_code == 200


def test_an_identity_that_does_not_fit_is_refused_not_cut(django):
    shop = django(urls=URLS, ACCOUNTS="fresh")
    answer = shop.sign_in(agent={"sub": "a" * 256, "agent_id": "a" * 256})
    assert (answer.status_code, answer.json()["error"]) == (400, "agent_too_large")
    shop.sign_in(agent={"model": "m" * 300})
    assert len(AgentProfile.objects.get().model) == 200


@pytest.fixture
def office():
    """Opens an administrator's browser and registers three agents."""
    for number in range(3):
        AgentProfile.objects.create(
            issuer="https://auth.example",
            subject=f"agent_{number}",
            model="claude-opus-4",
            owner_email=f"owner{number}@example.com",
            scenario="contextual",
        )
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    from django.test import override_settings

    from tests.adapters.test_django_settings import GOOD

    with override_settings(AUTH_AGENT=GOOD, ROOT_URLCONF=URLS):
        yield client


LIST = "/admin/auth_agent_accounts/agentprofile/"


def test_the_list_shows_searches_and_filters(office):
    page = office.get(LIST).content.decode()
    assert all(f"owner{number}@example.com" in page for number in range(3))
    found = office.get(LIST, {"q": "owner1@"}).content.decode()
    assert "agent_1" in found
    assert "agent_2" not in found
    assert "agent_0" not in office.get(LIST, {"blocked__exact": "1"}).content.decode()


def test_an_administrator_blocks_and_unblocks(office):
    chosen = AgentProfile.objects.get(subject="agent_1")
    for action, blocked in (("block", True), ("unblock", False)):
        answer = office.post(LIST, {"action": action, "_selected_action": chosen.pk}, follow=True)
        assert answer.status_code == 200
        assert "1 agent is" in answer.content.decode()
        states = AgentProfile.objects.order_by("subject").values_list("blocked", flat=True)
        assert list(states) == [False, blocked, False]
    assert "Blocked." in office.get(f"{LIST}{chosen.pk}/history/").content.decode()


def test_what_the_server_said_can_only_be_read(office):
    profile = AgentProfile.objects.get(subject="agent_2")
    page = office.get(f"{LIST}{profile.pk}/change/").content.decode()
    assert 'name="blocked"' in page
    assert 'name="subject"' not in page
    office.post(f"{LIST}{profile.pk}/change/", {"blocked": "on", "subject": "agent_9"})
    profile.refresh_from_db()
    assert (profile.blocked, profile.subject) == (True, "agent_2")
    assert office.get(f"{LIST}add/").status_code == 403


def test_a_blocked_agent_cannot_be_forgotten(office):
    blocked, welcome = AgentProfile.objects.order_by("subject")[:2]
    AgentProfile.objects.filter(pk=blocked.pk).update(blocked=True)
    assert office.post(f"{LIST}{blocked.pk}/delete/", {"post": "yes"}).status_code == 403
    both = {"action": "delete_selected", "_selected_action": [blocked.pk, welcome.pk], "post": "1"}
    assert office.post(LIST, both).status_code == 403
    assert office.post(f"{LIST}{welcome.pk}/delete/", {"post": "yes"}).status_code == 302
    assert AgentProfile.objects.order_by("subject").first() == blocked


def test_the_migrations_are_complete():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def sign_in_as(shop, **changes):
    """Signs in, and asserts that the account is there."""
    shop.sign_in(**changes)
    found = shop.get("/").json()
    assert found["in"]
    return found["account"]


CHANGES = {
    "deactivated": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
    "another address": lambda user: User.objects.filter(pk=user.pk).update(email="b@example.com"),
    "not verified any more": lambda user: User.objects.filter(pk=user.pk).update(username="eve"),
    "staff now": lambda user: User.objects.filter(pk=user.pk).update(is_staff=True),
    "deleted": lambda user: user.delete(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_full_account_ends_with_its_owners(django, owner, change):
    shop = django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust)
    assert sign_in_as(shop) == str(owner.pk)
    CHANGES[change](owner)
    assert shop.get("/").json() == {"account": None, "in": False}
    assert sign_in_as(shop) is None


def test_and_so_does_a_profile(django):
    shop = django(urls=URLS, ACCOUNTS="contextual")
    assert sign_in_as(shop) is not None
    AgentProfile.objects.all().delete()
    assert shop.get("/").json() == {"account": None, "in": False}


def test_an_id_of_the_sites_own_is_the_sites_to_check(django, owner):
    shop = django(
        urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust, ON_SIGN_IN=lambda agent: "mine"
    )
    assert sign_in_as(shop) == "mine"
    owner.delete()
    assert shop.get("/").json() == {"account": "mine", "in": True}


def test_a_hook_that_chooses_no_account_does_not_save_one(django, owner):
    shop = django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust, ON_SIGN_IN=lambda _: None)
    assert sign_in_as(shop) == str(owner.pk)
    owner.delete()
    assert shop.get("/").json() == {"account": None, "in": False}


@pytest.mark.parametrize("rank", ["is_staff", "is_superuser"])
def test_staff_is_linked_only_if_the_site_says_so(django, owner, rank):
    User.objects.filter(pk=owner.pk).update(**{rank: True})
    shop = django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust)
    assert sign_in_as(shop) is None
    for says, account in ((lambda user: True, str(owner.pk)), (lambda user: "yes", None)):
        shop = django(urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=trust, CAN_LINK=says)
        assert sign_in_as(shop) == account


def test_a_session_of_other_accounts_is_nobody(django, owner):
    """Keeps profile 1 from being taken for user 1."""
    User.objects.filter(pk=owner.pk).update(is_superuser=True, email="root@example.com")
    shop = django(urls=URLS, ACCOUNTS="contextual", EMAIL_IS_VERIFIED=trust)
    profile = sign_in_as(shop)
    cookies = shop.client.cookies
    for scenario in ("full", "fresh", None):
        other = django(urls=URLS, ACCOUNTS=scenario, EMAIL_IS_VERIFIED=trust)
        other.client.cookies = cookies
        assert other.get("/").json() == {"account": None, "in": False}, scenario
    again = django(urls=URLS, ACCOUNTS="contextual", EMAIL_IS_VERIFIED=trust)
    again.client.cookies = cookies
    assert again.get("/").json() == {"account": profile, "in": True}


def test_the_verified_user_is_found_among_many(django):
    for number in range(25):
        User.objects.create_user(f"x{number}", OWNER)
    right = User.objects.create_user("right", OWNER.upper())
    shop = django(
        urls=URLS, ACCOUNTS="full", EMAIL_IS_VERIFIED=lambda user, email: user.username == "right"
    )
    assert sign_in_as(shop) == str(right.pk)


def test_two_ids_that_differ_in_case_are_two_agents(django, monkeypatch):
    shop = django(urls=URLS, ACCOUNTS="contextual")
    first = sign_in_as(shop, agent={"sub": "agent_A"})
    assert sign_in_as(shop, agent={"sub": "agent_a"}) != first


def test_a_database_that_ignores_case_joins_no_two_agents(monkeypatch):
    """As MySQL's usual collations do."""
    known = AgentProfile.objects.create(issuer="https://auth.example", subject="agent_A")
    find = AgentProfile.objects.filter

    def ignoring_case(**fields):
        subject = fields.pop("subject", None)
        return find(**fields, **({"subject__iexact": subject} if subject else {}))

    monkeypatch.setattr(AgentProfile.objects, "filter", ignoring_case)
    assert find_profile(agent(id="agent_A")) == known
    assert find_profile(agent(id="agent_a")) is None
    AgentProfile.objects.filter(pk=known.pk).update(blocked=True)
    assert not is_blocked(agent(id="agent_a"))
