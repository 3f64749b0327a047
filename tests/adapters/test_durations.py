"""Every duration that a website can set, in both kinds of sessions and for both kinds of tokens:
what it bounds is there a second before, and gone at the second.
"""

from __future__ import annotations

import pytest

from auth_agent import RelyingParty, Settings, SettingsError
from auth_agent.flow import drive
from auth_agent.website.config.converters import CONVERTERS
from auth_agent.website.web.outcome import Pass
from tests.services import redis_server
from tests.website.browser import Browser, Clock
from tests.website.test_bearer import call, token_with

DAY = 86_400
DURATIONS = {
    name for name, as_number in CONVERTERS.items() if as_number is CONVERTERS["session_idle"]
}


@pytest.fixture(scope="module")
def redis_url():
    with redis_server() as url:
        yield url
        drive.close()


@pytest.fixture
def clock():
    return Clock(1_800_000_000.0)


@pytest.fixture(params=["cookie", "redis"])
def make_site(request, provider, clock):
    provider.clock = clock
    store = request.param if request.param == "cookie" else request.getfixturevalue("redis_url")

    def make(**changes):
        settings = Settings(
            issuer=provider.issuer,
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            secret="a secret of the website that is long enough",
            base_url="https://shop.example",
            session_store=store,
            **changes,
        )
        party = RelyingParty(settings, clock=clock)
        return Browser(party, provider, lambda flow, _server: drive.run(flow))

    return make


def a_session(site, server):
    site.sign_in()
    return lambda: site.agent is not None


def a_session_in_use(site, server):
    return a_session(site, server)


def a_token(opaque):
    """Returns a revoked token, which is accepted until the server is asked."""

    def start(site, server):
        token = token_with(server, {"exp": int(server.clock()) + 10 * DAY}, opaque)
        assert isinstance(call(site, token), Pass)
        server.active.discard(token)
        return lambda: isinstance(call(site, token), Pass)

    return start


# Setting, its value, other settings, what it bounds.
ROWS = [
    ("session_idle", 30, {}, a_session),
    ("session_idle", 3_600, {}, a_session),  # as it is if nothing is said
    ("session_idle", 30 * DAY, {"session_lifetime": 30 * DAY}, a_session),
    ("session_lifetime", 60, {"session_idle": 60}, a_session_in_use),
    ("session_lifetime", 28_800, {}, a_session_in_use),
    ("session_lifetime", 30 * DAY, {"session_idle": DAY}, a_session_in_use),
    ("bearer_recheck", 1, {}, a_token(opaque=False)),
    ("bearer_recheck", 60, {}, a_token(opaque=False)),
    ("bearer_recheck", DAY, {}, a_token(opaque=False)),
    ("bearer_recheck", 1, {}, a_token(opaque=True)),
    ("bearer_recheck", 60, {}, a_token(opaque=True)),
]


def test_no_duration_is_left_out():
    assert {row[0] for row in ROWS} == DURATIONS
    numbers = {
        name
        for name, value in zip(
            Settings.__struct_fields__, Settings.__struct_defaults__, strict=True
        )
        if type(value) is int
    }
    assert numbers == DURATIONS


@pytest.mark.parametrize(("name", "seconds", "others", "start"), ROWS)
def test_a_duration_ends_when_it_says(make_site, provider, clock, name, seconds, others, start):
    site = make_site(protect="/api/*", **{**others, name: seconds})
    early, late = start(site, provider), start(site.twin(), provider)
    end = clock.now + seconds
    step = site.relying_party.settings.session_idle * 0.9
    while start is a_session_in_use and clock.now + step < end - 1:
        clock.advance(step)
        assert early()
        assert late()
    clock.now = end - 1
    assert early()
    clock.now = end
    assert not late()


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("session_idle", 30, 28_800),
        ("session_lifetime", 60, 30 * DAY),
        ("bearer_recheck", 0, DAY),
    ],
)
def test_the_range_of_a_duration(make_site, name, lowest, highest):
    others = {"session_idle": 30} if name == "session_lifetime" else {}
    for seconds in (lowest, highest):
        make_site(**others, **{name: seconds})
    for seconds in (lowest - 1, highest + 1):
        with pytest.raises(SettingsError, match=name.upper()):
            make_site(**others, **{name: seconds})
