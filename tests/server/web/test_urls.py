"""Which addresses are trusted: everything that a browser would read differently is refused."""

from __future__ import annotations

import pytest

from auth_agent.server.registry.rules import RegistrationError, website_columns
from auth_agent.server.web.urls import is_loopback_uri, redirect_matches


@pytest.mark.parametrize(
    "uri",
    [
        *("shop.example/cb", "//shop.example/cb", "https:///cb", "https://", "https://["),
        *("javascript:alert(1)", "ftp://shop.example/cb", "http://shop.example/cb"),
        *("https://user@shop.example/cb", "https://user:pw@shop.example/cb", "https://@x.example/"),
        *("https://shop.example/cb#", "https://shop.example/#x", "https://shop.example/a b"),
        *("https://shop.example\\@evil.example/", "https://shop.example/\r\nx: y"),
        *(
            "https://shop.example:x/cb",
            "https://shop.example:99999/cb",
            "https://sh\u00f6p.example/",
        ),
        *("https://shop%2eexample/", "https://shop.example%2fevil/", "https://%65vil.example/"),
        *("https://shop.example;script-src/", "https://shop.example,evil.example/"),
        *("https://*.shop.example/", "https://shop'example/", "https://[fe80::1%eth0]/"),
        *("http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "http://0.0.0.0/"),
        *("http://localhost@evil.example/", "http://127.0.0.999/", "http://2130706433/"),
    ],
)
def test_an_address_that_is_not_what_it_seems_is_not_registered(uri: str) -> None:
    with pytest.raises(RegistrationError):
        website_columns({"redirect_uris": [uri]})
    assert not is_loopback_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        *("https://shop.example/cb", "https://shop.example", "https://SHOP.example:8443/cb?a=b"),
        *("https://xn--shp-una.example/", "https://a_b.example/", "https://shop.example./cb"),
        *("https://192.0.2.1/", "https://[2001:db8::1]:8443/cb"),
        *("http://localhost:3000/cb", "http://127.0.0.1/cb", "http://[::1]:5000/cb"),
    ],
)
def test_an_address_that_browsers_take_as_it_is_is_registered(uri: str) -> None:
    assert website_columns({"redirect_uris": [uri]}) == {"redirect_uris": uri}


@pytest.mark.parametrize(
    ("registered", "requested", "same"),
    [
        ("http://shop.localhost:8000/cb", "http://shop.localhost:9000/cb", True),
        ("http://127.0.0.1/cb?a=b", "http://127.0.0.1:5000/cb?a=b", True),
        ("http://[::1]/cb", "http://[::1]:5000/cb", True),
        ("http://shop.localhost/cb", "http://blog.localhost/cb", False),
        ("http://localhost/cb", "http://localhost:5000/other", False),
        ("http://localhost/cb", "http://localhost:5000@evil.example/cb", False),
        ("https://shop.example/cb", "https://shop.example:8443/cb", False),
        ("https://shop.localhost/cb", "https://shop.localhost:8443/cb", False),
    ],
)
def test_only_the_port_of_a_loopback_address_may_differ(
    registered: str, requested: str, same: bool
) -> None:
    assert redirect_matches(registered, requested) is same
