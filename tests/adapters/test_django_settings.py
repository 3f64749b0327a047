"""How a Django site is configured, and how it hears what is wrong and who arrived."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.template import engines
from django.test import override_settings
from django.urls import path

from auth_agent import SettingsError, SignInRefused
from auth_agent.mark import mark
from auth_agent.website.web.button import CSS
from auth_agent_django import agent_refused, agent_signed_in, agent_signed_out
from auth_agent_django.checks import check_site
from auth_agent_django.configuration import Configuration

GOOD = {
    "ISSUER": "https://auth.example",
    "CLIENT_ID": "client_shop",
    "CLIENT_SECRET": "cs_secret",
    "SECRET": "a secret of the website that is long enough",
    "BASE_URL": "https://shop.example",
}


def read(**changes):
    with override_settings(AUTH_AGENT={**GOOD, **changes}):
        return Configuration.read()


def problems(**changes):
    with pytest.raises(SettingsError) as caught:
        read(**changes)
    return caught.value.problems


def test_the_dictionary_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("AUTH_AGENT_ISSUER", "https://other.example")
    monkeypatch.setenv("AUTH_AGENT_PROTECT", "/private/*")
    settings = read().settings
    assert (settings.issuer, settings.protect) == ("https://auth.example", ("/private/*",))


@override_settings()
def test_the_environment_alone_is_enough(monkeypatch):
    for name, value in GOOD.items():
        monkeypatch.setenv(f"AUTH_AGENT_{name}", value)
    assert Configuration.read().settings.client_id == "client_shop"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ISUER": "https://a.example"}, 'AUTH_AGENT["ISUER"] is not a setting: did you mean'),
        ({"issuer": "https://a.example"}, 'AUTH_AGENT["issuer"] is not a setting: did you mean'),
        ({"SQUIRREL": 1}, 'AUTH_AGENT["SQUIRREL"] is not a setting: remove it'),
        ({"PREFIX": "no slash"}, "AUTH_AGENT_PREFIX must be a path"),
        ({"ACCOUNTS": "none"}, "AUTH_AGENT_ACCOUNTS must be"),
        ({"ON_SIGN_IN": "no.such.module"}, "AUTH_AGENT_ON_SIGN_IN cannot be imported"),
        ({"ON_REFUSED": "os.sep"}, "AUTH_AGENT_ON_REFUSED must name a function"),
        ({"EMAIL_IS_VERIFIED": 3}, "AUTH_AGENT_EMAIL_IS_VERIFIED must name a function"),
    ],
)
def test_what_is_wrong_is_refused_with_its_name(changes, says):
    (problem,) = problems(**changes)
    assert problem.startswith(says)


def test_a_misspelt_variable_is_refused_too(monkeypatch):
    monkeypatch.setenv("AUTH_AGENT_PROTEKT", "/private/*")
    assert "AUTH_AGENT_PROTEKT is not a setting" in problems()[0]


@override_settings(AUTH_AGENT=["ISSUER"])
def test_a_list_is_no_dictionary():
    with pytest.raises(SettingsError, match="must be a dictionary"):
        Configuration.read()


def test_who_asks_for_no_email_asks_for_no_email(monkeypatch):
    assert read(ACCOUNTS="fresh").settings.scope == "openid profile"
    assert read(ACCOUNTS="full").settings.scope == "openid profile email"
    monkeypatch.setenv("AUTH_AGENT_SCOPE", "openid reports:read")
    assert read(ACCOUNTS="fresh").settings.scope == "openid reports:read"


def ids(**overrides):
    with override_settings(**{"AUTH_AGENT": GOOD, **overrides}):
        return [(message.id, message.msg) for message in check_site(None)]


def test_a_good_site_has_nothing_to_report():
    assert ids() == []


def test_every_wrong_setting_is_a_message_with_a_remedy():
    with override_settings(AUTH_AGENT={"ISSUER": "http://auth.example", "ON_SIGN_IN": "nowhere"}):
        messages = check_site(None)
    assert {message.id for message in messages} == {"auth_agent.E001"}
    said = [message.msg for message in messages]
    assert len(said) == 6
    assert all(message.hint for message in messages)
    assert "AUTH_AGENT_SECRET is missing" in said


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"MIDDLEWARE": []}, "auth_agent.W001"),
        ({"MIDDLEWARE": ["no.such.middleware"]}, "auth_agent.W001"),
        ({"INSTALLED_APPS": ["auth_agent_django"], "AUTHENTICATION_BACKENDS": []}, None),
        (
            {"AUTH_AGENT": {**GOOD, "ACCOUNTS": "full", "SCOPE": "openid"}},
            "auth_agent.W002",
        ),
        (
            {"AUTH_AGENT": {**GOOD, "ACCOUNTS": "fresh", "SCOPE": "openid email"}},
            "auth_agent.W002",
        ),
        (
            {
                "AUTH_AGENT": {**GOOD, "ACCOUNTS": "fresh"},
                "INSTALLED_APPS": ["auth_agent_django"],
                "AUTHENTICATION_BACKENDS": [],
            },
            "auth_agent.E002",
        ),
        (
            {"INSTALLED_APPS": ["auth_agent_django", "django.contrib.auth"]},
            "auth_agent.E003",
        ),
    ],
)
def test_what_does_not_fit_together_is_a_message(overrides, found):
    assert [name for name, _ in ids(**overrides)] == ([found] if found else [])


MINIMAL = """
    from django.conf import settings
    settings.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", DATABASES={},
        INSTALLED_APPS=["auth_agent_django"],
        MIDDLEWARE=["auth_agent_django.AuthAgentMiddleware"],
    )
    import django
    django.setup()
    from django.apps import apps
    from django.core.management import call_command
    from django.http import JsonResponse
    from django.test import Client
    from django.urls import path
    from auth_agent_django import requires_agent

    @requires_agent
    def me(request):
        return JsonResponse({})

    urlpatterns = [path("me", me)]
    call_command("check", fail_level="WARNING")
    print(Client().get("/me").status_code, Client().get("/auth-agent/logout").status_code)
    print([model.__name__ for model in apps.get_models()])
"""


def run(code, **environ):
    return subprocess.run(  # noqa: PLW1510  # a failure is what some tests look at
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **{f"AUTH_AGENT_{name}": value for name, value in environ.items()}},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_neither_sessions_nor_users_nor_a_database_is_needed():
    done = run(MINIMAL, **GOOD)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["401 200", "[]"]


def test_manage_py_check_names_every_mistake_and_its_remedy():
    done = run(MINIMAL, ISSUER="http://auth.example", PROTEKT="/private/*")
    assert done.returncode == 1
    for says in (
        "(auth_agent.E001) AUTH_AGENT_ISSUER uses http",
        "(auth_agent.E001) AUTH_AGENT_PROTEKT is not a setting",
        "HINT: did you mean AUTH_AGENT_PROTECT?",
        "(auth_agent.E001) AUTH_AGENT_SECRET is missing",
        "System check identified 6 issues",
    ):
        assert says in done.stderr


def test_the_readme_lets_agents_in():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = re.search(r"<!-- example: django -->\n```python\n(.*?)```", readme, re.DOTALL)
    before = "INSTALLED_APPS, MIDDLEWARE = [], []\n"
    after = """
from django.conf import settings
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", DATABASES={},
    INSTALLED_APPS=INSTALLED_APPS, MIDDLEWARE=MIDDLEWARE,
)
import django
django.setup()
from django.test import Client
from django.urls import path
urlpatterns = [path("me", me)]
print(Client().get("/me", headers={"accept": "application/json"}).json()["issuer"])
"""
    done = run(before + shown[1] + after, **GOOD)
    assert done.stdout.strip() == GOOD["ISSUER"], done.stderr


ALLAUTH = """
    from django.conf import settings
    settings.configure(
        SECRET_KEY="x",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth", "django.contrib.contenttypes",
            "allauth", "allauth.account", "auth_agent_django", "auth_agent_django.accounts",
        ],
        MIDDLEWARE=["allauth.account.middleware.AccountMiddleware"],
    )
    import django
    django.setup()
    from allauth.account.models import EmailAddress
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from auth_agent import Agent
    from auth_agent_django.accounts.arrival import find_user

    call_command("migrate", verbosity=0)
    agent = Agent(id="a", issuer="i", client_id="c", authenticated_at=0, expires_at=0,
                  email="owner@example.com", email_verified=True)
    ann = User.objects.create_user("ann", "owner@example.com")
    address = EmailAddress.objects.create(user=ann, email="Owner@example.com", verified=False)
    print(find_user(agent))
    EmailAddress.objects.update(verified=True)
    print(find_user(agent))
    EmailAddress.objects.update(email="other@example.com")
    print(find_user(agent))
"""


def test_allauth_is_asked_which_addresses_it_has_verified():
    done = run(ALLAUTH, **GOOD)
    assert done.stdout.split() == ["None", "ann", "None"], done.stderr


heard = []


def greet(agent):
    heard.append(("sync", agent.id))
    return 42


async def agreet(agent):
    heard.append(("async", agent.id))
    return "account_7"


def turn_away(agent):
    raise SignInRefused("Not today.", code="not_today", status_code=403)


def mourn(error):
    heard.append(("refused", error.code))


def account(request):
    return HttpResponse(str(request.agent and request.agent.account_id))


URLS = (path("", account),)


@pytest.fixture(autouse=True)
def _silence():
    heard.clear()


@pytest.mark.parametrize(("hook", "account_id"), [("greet", b"42"), ("agreet", b"account_7")])
def test_the_websites_function_names_the_account(django, hook, account_id):
    shop = django(urls=URLS, ON_SIGN_IN=f"{__name__}.{hook}")
    shop.sign_in()
    assert shop.get("/").content == account_id
    assert [name for _, name in heard] == ["agent_7"]


def test_the_websites_function_may_refuse(django):
    shop = django(urls=URLS, ON_SIGN_IN=turn_away, ON_REFUSED=mourn)
    answer = shop.sign_in()
    assert (answer.status_code, answer.json()["error"]) == (403, "not_today")
    assert heard == [("refused", "not_today")]
    assert shop.get("/").content == b"None"


def test_receivers_hear_of_each_event(django):
    def hear(sender, signal, **news):
        heard.append((sender.__name__, *sorted(news)))

    for signal in (agent_signed_in, agent_refused, agent_signed_out):
        signal.connect(hear)
    try:
        shop = django(urls=URLS, ON_SIGN_OUT=lambda agent: heard.append(agent.id))
        shop.sign_in()
        shop.post("/auth-agent/logout")
        shop.get("/auth-agent/callback")
    finally:
        for signal in (agent_signed_in, agent_refused, agent_signed_out):
            signal.disconnect(hear)
    assert heard == [("Agent", "agent"), "agent_7", ("Agent", "agent"), ("Agent", "error")]


def test_a_receiver_hears_the_account_id(django):
    def hear(agent, **rest):
        heard.append(agent.account_id)

    agent_signed_in.connect(hear)
    try:
        django(urls=URLS, ON_SIGN_IN=lambda agent: 7).sign_in()
    finally:
        agent_signed_in.disconnect(hear)
    assert heard == ["7"]


def page(request, name):
    text = "{% load auth_agent %}" + request.GET["show"]
    return HttpResponse(engines["django"].from_string(text).render({}, request))


DRAWN = ' aria-hidden="true" focusable="false"'
MARK, LARGE = mark(20, attributes=DRAWN), mark(24, attributes=DRAWN)
PAGES = (path("pages/<str:name>", page),)


@pytest.mark.parametrize(
    ("tag", "shows"),
    [
        (
            "{% auth_agent_button %}",
            '<a class="auth-agent-button" href="/auth-agent/login?next='
            '/pages/a%2520%2522%3Fshow%3D%257B%2525%2Bauth_agent_button%2B%2525%257D">'
            f"{MARK}<span>Sign in with Auth Agent</span></a>",
        ),
        (
            '{% auth_agent_button next="/me" text=request.path css="b" %}',
            '<a class="b" href="/auth-agent/login?next=/me">/pages/a &quot;</a>',
        ),
        (
            '{% auth_agent_button next="//evil.example" %}',
            '<a class="auth-agent-button" href="/auth-agent/login?next=/">'
            f"{MARK}<span>Sign in with Auth Agent</span></a>",
        ),
        (
            '{% auth_agent_button next="/me" look="dark" large=True text="<b>" %}',
            '<a class="auth-agent-button auth-agent-button--dark auth-agent-button--large" '
            f'href="/auth-agent/login?next=/me">{LARGE}<span>&lt;b&gt;</span></a>',
        ),
        (
            "{% auth_agent_button_style nonce='\"' %}",
            f'<style nonce="&quot;">{CSS}</style>',
        ),
        (
            '{% auth_agent_sign_out text="Out" %}',
            '<form class="auth-agent-sign-out" method="post" action="/auth-agent/logout">'
            "<button>Out</button></form>",
        ),
    ],
)
def test_the_tags_of_templates(django, tag, shows):
    shown = django(urls=PAGES).get('/pages/a "', {"show": tag}).content.decode()
    assert shown == shows


def test_no_cookie_and_no_code_is_logged(django, caplog):
    caplog.set_level(logging.DEBUG)
    shop = django(urls=URLS)
    shop.sign_in()
    values = [cookie.value for cookie in shop.client.cookies.values() if cookie.value]
    shop.post("/auth-agent/logout")
    assert values
    assert not any(secret in caplog.text for secret in (*values, "ac_", "cs_"))
