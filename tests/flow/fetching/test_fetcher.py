"""Fetching what others point to: where it goes, and where it never goes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from auth_agent.flow.connections.deadline import deadline
from auth_agent.flow.fetching import addresses
from auth_agent.flow.fetching import fetcher as fetching
from auth_agent.flow.fetching.addresses import Lookups, domain_of, is_public
from auth_agent.flow.fetching.fetcher import Fetcher
from auth_agent.flow.fetching.refusals import FetchRefused, NoPlace


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),  # noqa: S104
        *("169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1"),
        *("ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::", "2001:0:1::1", "::127.0.0.1", "nonsense", ""),
        *("fec0::1", "64:ff9b:1::7f00:1", "::ffff:0:7f00:1", "100::1", "4000::1"),
    ],
)
def test_these_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_these_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_a_name_that_points_inwards_is_not_followed(web: str) -> None:
    port = web.rpartition(":")[2]
    for found in (["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["::ffff:10.0.0.1"], []):
        strict = Fetcher(resolve=lambda _host, _port, found=found: found)
        with pytest.raises(FetchRefused, match=r"public|no address"):
            strict.get(f"https://shop.example:{port}/")


def test_the_connection_goes_to_the_address_that_was_checked(web: str) -> None:
    """Ignores a name server that answers differently the second time."""
    asked = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    fetcher = Fetcher(loopback_allowed=True, resolve=resolve)
    assert fetcher.get(web + "/host").body.decode() == web.removeprefix("http://")
    assert asked == ["localhost"]
    fetcher.close()


def test_a_name_service_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "DEADLINE", 0.3)
    awake = threading.Event()

    def hang(_host: str, _port: int) -> list[str]:
        awake.wait(20)
        return ["127.0.0.1"]

    fetcher = Fetcher(loopback_allowed=True, resolve=hang)
    started = time.monotonic()
    with pytest.raises(FetchRefused, match="name service does not answer"):
        fetcher.get("https://shop.example/")
    assert time.monotonic() - started < 5
    awake.set()
    fetcher.close()


def _down(_host: str, _port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize("kind", ["hangs", "fails"])
def test_a_name_that_could_not_be_looked_up_is_remembered_for_a_minute(
    kind: str, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    awake = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        if host != "bad.example":
            return ["127.0.0.1"]
        return [str(awake.wait(20))] if kind == "hangs" else _down(host, port)

    now = 1_000.0
    monkeypatch.setattr(fetching, "DEADLINE", 0.3)
    monkeypatch.setattr("auth_agent.flow.fetching.addresses.time.monotonic", lambda: now)
    fetcher = Fetcher(loopback_allowed=True, resolve=resolve)
    for _ in range(3):
        with pytest.raises(FetchRefused):
            fetcher.get("https://bad.example/")
    assert asked == ["bad.example"]
    port = web.rpartition(":")[2]
    monkeypatch.setattr(fetching, "DEADLINE", 10.0)
    assert fetcher.get(f"http://localhost:{port}/ok").status == 200
    monkeypatch.setattr(fetching, "DEADLINE", 0.3)
    now += addresses.FAILED_FOR
    with pytest.raises(FetchRefused):
        fetcher.get("https://bad.example/")
    assert asked.count("bad.example") == 2
    awake.set()
    fetcher.close()


def test_few_failed_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MOST_FAILED", 2)
    fetcher = Fetcher(resolve=_down)
    for number in range(4):
        with pytest.raises(FetchRefused):
            fetcher.get(f"https://n{number}.example/")
    assert list(fetcher._lookups._failed) == ["n2.example", "n3.example"]
    fetcher.close()


@pytest.mark.parametrize(
    "url",
    [
        *("http://shop.example/", "ftp://shop.example/", "https://u@shop.example/", "shop", ""),
        *("file:///etc/passwd", "https://shop.example/#x", "https://shop.example/a b"),
    ],
)
def test_only_https_is_even_looked_up(url: str) -> None:
    with pytest.raises(FetchRefused, match="address"):
        Fetcher(loopback_allowed=True, resolve=_nobody_asks).get(url)


def test_http_on_a_loopback_host_is_not_looked_up_for_a_public_issuer() -> None:
    with pytest.raises(FetchRefused, match="not https"):
        Fetcher(resolve=_nobody_asks).get("http://localhost:1/")


def _nobody_asks(_host: str, _port: int) -> list[str]:
    pytest.fail("the name was looked up")


def test_loopback_is_for_loopback_issuers(web: str) -> None:
    for url in (web, web.replace("http:", "https:")):
        with pytest.raises(FetchRefused):
            Fetcher().get(url)


def test_redirects_are_not_followed(web: str, fetcher: Fetcher) -> None:
    assert fetcher.get(web + "/moved").status == 302


def test_size_is_bounded(web: str, fetcher: Fetcher) -> None:
    with pytest.raises(FetchRefused, match="large"):
        fetcher.get(web + "/big")


@pytest.mark.parametrize("path", ["/slow-head", "/slow-body"])
def test_time_is_bounded_however_slowly_it_comes(
    web: str, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(fetching, "DEADLINE", 0.3)
    begun = time.monotonic()
    with pytest.raises(FetchRefused, match="Time"):
        fetcher.get(web + path)
    assert time.monotonic() - begun < 5


def test_the_environments_proxy_is_not_used(
    web: str, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetcher.get(web + "/ok").status == 200
    assert fetcher.post_form(web + "/ok", {"a": "b c"}).body == b"a=b+c"


def test_a_closed_port_is_a_refusal(fetcher: Fetcher) -> None:
    with pytest.raises(FetchRefused, match="ConnectError"):
        fetcher.get("http://127.0.0.1:1/")


def test_places_are_given_back_whatever_comes(web: str, fetcher: Fetcher) -> None:
    for _ in range(fetching.AT_ONCE + 1):
        with pytest.raises(FetchRefused, match="large"):
            fetcher.get(web + "/big")
    assert fetcher.get(web + "/ok").status == 200


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "0.0.0.0", "fd12::1"])  # noqa: S104
def test_a_loopback_issuer_reaches_loopback_and_nothing_else_inside(address: str) -> None:
    fetcher = Fetcher(loopback_allowed=True, resolve=lambda _host, _port: [address])
    with pytest.raises(FetchRefused, match="not public"):
        fetcher.get("https://shop.example/")


def test_too_many_at_once_are_refused(
    web: str, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = threading.BoundedSemaphore(1)
    monkeypatch.setitem(fetcher._places, "GET", places)
    with places, pytest.raises(NoPlace, match="at once"):
        fetcher.get(web + "/ok")
    assert fetcher.get(web + "/ok").status == 200
    # A logout has a place of its own.
    with places:
        assert fetcher.post_form(web + "/ok", {}).status


def test_a_name_server_that_hangs_stops_the_names_of_its_own_domain_only(web: str) -> None:
    release, port = threading.Event(), int(web.rpartition(":")[2])

    def resolve(host: str, _port: int) -> list[str]:
        if host.endswith(".hanging.example"):
            assert release.wait(30)
        return ["127.0.0.1"]

    lookups = Lookups(resolve)
    asked = [
        threading.Thread(target=_refused, args=(lookups, f"http://n{number}.hanging.example/"))
        for number in range(addresses.LOOKUPS_OF_ONE)
    ]
    try:
        for each in asked:
            each.start()
        while lookups._looking["hanging.example"] < addresses.LOOKUPS_OF_ONE:
            assert any(each.is_alive() for each in asked)
        with pytest.raises(FetchRefused, match="of this domain"):
            lookups.look_up("other.hanging.example", 80)
        assert lookups.look_up("localhost", port) == ["127.0.0.1"]
        assert lookups.look_up("good.example", port) == ["127.0.0.1"]
        assert lookups.look_up("shop.co.uk", port) == ["127.0.0.1"]
    finally:
        release.set()
        for each in asked:
            each.join(30)
        lookups.close()
    assert not lookups._looking


def test_a_look_up_for_which_no_thread_starts_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups = Lookups(lambda *_: ["127.0.0.1"])

    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", exhausted)
        for _ in range(addresses.LOOKUPS_OF_ONE + 1):
            with pytest.raises(NoPlace):
                lookups.look_up("shop.example", 443)
    assert lookups.look_up("shop.example", 443) == ["127.0.0.1"]
    lookups.close()


def _refused(lookups: Lookups, url: str) -> None:
    with deadline(20), contextlib.suppress(FetchRefused):
        lookups.look_up(url.split("/")[2], 80)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("a.b.shop.example", "shop.example"),
        ("shop.example.", "shop.example"),
        ("a.shop.co.uk", "shop.co.uk"),
        ("other.co.uk", "other.co.uk"),
        ("localhost", "localhost"),
    ],
)
def test_look_ups_are_counted_for_what_somebody_registered(host: str, domain: str) -> None:
    assert domain_of(host) == domain


def test_the_certificate_has_to_be_the_names(tmp_path: Any) -> None:
    import ssl

    cert, key = _certificate("other.example", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    trust = ssl.create_default_context(cafile=str(cert))
    fetcher = Fetcher(loopback_allowed=True, resolve=lambda _h, _p: ["127.0.0.1"], tls=trust)
    try:
        with pytest.raises(FetchRefused, match="ConnectError"):
            fetcher.get(f"https://shop.example:{server.server_port}/")
        answer = fetcher.get(f"https://other.example:{server.server_port}/")
        assert answer.status == 501
    finally:
        fetcher.close()
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(name: str, folder: Any) -> tuple[Any, Any]:
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(pem)
    return folder / "cert.pem", folder / "key.pem"
