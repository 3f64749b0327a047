"""Where a browser would really go: no `next` may lead off this site."""

from __future__ import annotations

import re
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_agent import Settings, SettingsError
from auth_agent.sdk import AgentSDK
from auth_agent.server.registry.rules import RegistrationError, website_columns
from auth_agent.url import is_loopback, normal_origin, safe_next, url_problem
from tests.website.browser import location
from tests.website.test_settings import GOOD

BASE = "https://shop.example/auth-agent/callback"

_HOSTS = ["evil.example", "evil.example/path", "user@evil.example", "[::1]", "evil.example:443",
          "127.0.0.1", "shop.example@evil.example"]  # fmt: skip
_STARTS = [
    "//", "///", "////", "/\\", "\\/", "\\\\", "/\\/", "\\", "/\t/", "/\n/", "/\r/", "\t//", "\n//",
    " //", "/\x1f/", "/%2f", "/%2F", "/%5c", "/%5C", "/%2f%2f", "http://", "https://", "https:",
    "https:/", "https:///", "HTTPS://", "ftp://", "javascript:", "JaVaScRiPt:", "data:text/html,",
    "vbscript:", "//\\", "/\x00/", "\x00//", "/\u2028/", "/\u00a0/", "\ufeff//", "/\x0b/",
    "/\x0c/", "/\x7f/", "\u3000//", "@", "/\u200b/", "blob:", "file://", "ws://", "mailto:", ".//",
    "/\ud800/",
]  # fmt: skip
HOSTILE = [start + host for start in _STARTS for host in _HOSTS] + [
    "/a\r\nSet-Cookie: x=1", "/a\nLocation: //evil.example", "/\\evil.example/%2e%2e", "/" * 2_000,
    "/a" * 600, "", "?next=//evil.example", "#//evil.example", "evil.example", "/auth-agent/login",
    "/auth-agent/logout", "/auth-agent", "/auth-agent/login?next=/auth-agent/login", "\x00",
    "/\x00", "/auth-agent?x=1", "/a\tb", "/a\\b",
]  # fmt: skip


def browser_origin(next_path: str) -> str:
    """Resolves as WHATWG says: drops tabs and line breaks, reads backslashes as slashes."""
    seen = re.sub(r"[\t\r\n]", "", next_path.strip(" \x00\x1f")).replace("\\", "/")
    return normal_origin(urljoin(BASE, seen))


def test_the_corpus_is_large_enough():
    assert len(set(HOSTILE)) >= 300


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_hostile_next_leaves_the_site(hostile):
    assert safe_next(hostile, prefix="/auth-agent") == "/"


@given(st.text(alphabet=st.sampled_from("/\\:@%2f5cC.?#\t\n\r evil\x00é"), max_size=30))
def test_no_text_leaves_the_site(text):
    result = safe_next(text, prefix="/auth-agent")
    assert browser_origin(result) == "https://shop.example"
    assert result.isascii()
    assert result.isprintable()
    assert " " not in result


@pytest.mark.parametrize(
    ("given_next", "returned"),
    [
        ("/", "/"),
        ("/me", "/me"),
        ("/orders?open=1&x=%2F", "/orders?open=1&x=%2F"),
        ("/a/../b", "/a/../b"),
        ("/search?q=a b", "/search?q=a%20b"),
        ("/grüße", "/gr%C3%BC%C3%9Fe"),
        ("/a#top", "/a#top"),
        ("/a?next=//evil.example", "/a?next=//evil.example"),
        ("/auth-agents", "/auth-agents"),
    ],
)
def test_a_page_of_this_site_is_kept(given_next, returned):
    assert safe_next(given_next, prefix="/auth-agent") == returned


@pytest.mark.parametrize("hostile", ["//evil.example", "/\\evil.example", "/a\r\nX: y"])
def test_the_whole_sign_in_stays_on_the_site(browser, hostile):
    reply = browser.end(browser.begin(quote(hostile)))
    assert location(reply) == "/"


def test_two_pages_to_return_to_are_none(browser):
    url = browser.begin("/one&next=//evil.example")
    assert location(browser.end(url)) == "/"


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://auth.example", True),
        ("https://auth.example/tenant", True),
        ("http://localhost:8420", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8420", True),
        ("http://auth.localhost", True),
        ("http://auth.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://0.0.0.0", False),
        ("https://user:pw@auth.example", False),
        ("https://auth.example?x=1", False),
        ("https://auth.example#x", False),
        ("https://auth.example:port", False),
        ("https://", False),
        ("ftp://auth.example", False),
        ("https://auth.example/a b", False),
        ("https://evil.example\\.auth.example", False),
        ("https://evil.example\\@auth.example", False),
        ("https://auth.example:99999", False),
        ("http://localhost.", False),
        ("https://auth.example/\n", False),
        ("https://\u0430uth.example", False),
    ],
)
def test_https_or_loopback(url, fine):
    assert (url_problem(url) is None) is fine
    assert urlsplit(url).scheme


def test_loopback_is_not_a_name_that_only_begins_so():
    assert is_loopback("127.0.0.1")
    assert not is_loopback("127.0.0.1.nip.example")
    assert not is_loopback(None)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTPS://Shop.Example:443/x", "https://shop.example"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_origins_are_written_as_browsers_write_them(url, origin):
    assert normal_origin(url) == origin


GOOD_ORIGINS = [
    "https://shop.example", "https://shop.example:8443", "https://xn--shp-una.example",
    "https://a_b.example", "https://shop.example.", "https://192.0.2.1", "https://1.2.3.4.example",
    "https://[2001:db8::1]:8443", "http://localhost", "http://localhost:8000",
    "http://shop.localhost:8000", "http://a.b.localhost", "http://127.0.0.1:8000",
    "http://127.9.9.9", "http://[::1]:8000", "http://[0:0:0:0:0:0:0:1]:8000",
]  # fmt: skip
BAD_ORIGINS = [
    "https://sh%6fp.example", "https://shop%2eexample", "http://shop.example", "http://0.0.0.0",
    "http://localhost.", "http://localhost.evil.example", "http://evil-localhost",
    "http://127.0.0.1.evil.example", "http://127.1", "http://2130706433", "http://0x7f.0.0.1",
    "http://0x7f000001", "http://127.0.0.01", "http://127.0.0.999", "https://1.2.3", "https://9",
    "https://shop.example.0x", "https://1.2.3.4.", "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]", "https://[fe80::1%25eth0]", "https://[::1", "https://[1.2.3.4]",
    "https://[v1.x]", "https://shop..example", "https://.example", "http://.localhost",
    "https://" + "a" * 64 + ".example", "https://" + "a." * 126 + "aa",
    "https://shop.example;script-src", "https://shop'example", "https://*.shop.example",
    "https://user@shop.example", "https://@shop.example", "https://shop.example:x",
    "https://shop.example:99999", "https://shop.example\\@evil.example", "https://shöp.example",
    "https://shop.example#", "https://shop\t.example", "https:shop.example", "//shop.example",
]  # fmt: skip


def website_takes(origin: str) -> bool:
    return _is_fine(lambda: Settings.from_env({**GOOD, "AUTH_AGENT_BASE_URL": origin}))


def server_takes(origin: str) -> bool:
    return _is_fine(lambda: website_columns({"redirect_uris": [f"{origin}/cb"]}))


def sdk_takes(origin: str) -> bool:
    return _is_fine(lambda: AgentSDK(agent_id="a", agent_secret="ags_x", server_url=origin))


def _is_fine(make) -> bool:
    try:
        make()
    except (SettingsError, RegistrationError):
        return False
    return True


@pytest.mark.parametrize("door", [website_takes, server_takes, sdk_takes])
@pytest.mark.parametrize(
    ("origin", "fine"), [(o, True) for o in GOOD_ORIGINS] + [(o, False) for o in BAD_ORIGINS]
)
def test_every_door_judges_an_origin_alike(door, origin, fine):
    assert door(origin) is fine


def test_an_address_in_ipv6_is_written_short():
    assert normal_origin("http://[0:0:0:0:0:0:0:1]:8000") == "http://[::1]:8000"
    assert normal_origin("https://[2001:DB8:0::1]") == "https://[2001:db8::1]"
