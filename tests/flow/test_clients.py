"""Where requests really go: proxies and certificates of the environment, loopback, cookies."""

from __future__ import annotations

import os
import time

import anyio
import httpx2
import pytest

from auth_agent import ServerUnavailable
from auth_agent.flow import drive
from auth_agent.flow.connections import clients
from auth_agent.flow.connections.deadline import deadline
from auth_agent.flow.connections.proxies import Proxies
from auth_agent.flow.effects import send
from auth_agent.flow.exchange import HttpRequest
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from tests.flow.network import answering, listening


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    drive.close()
    clients.tls_context.cache_clear()
    yield
    drive.close()
    clients.tls_context.cache_clear()


def website_in_thread(url):
    return drive.run(send(HttpRequest("GET", url)))


def website_in_task(url):
    async def main():
        try:
            return await drive.arun(send(HttpRequest("GET", url)))
        finally:
            await drive.aclose()

    return anyio.run(main)


def sdk_in_thread(url):
    with AgentSDK(agent_id="a", agent_secret="ags_x", model="m", server_url=url) as agent:
        return agent.introspect_token("t")


def sdk_in_task(url):
    async def main():
        agent = AsyncAgentSDK(agent_id="a", agent_secret="ags_x", model="m", server_url=url)
        async with agent:
            return await agent.introspect_token("t")

    return anyio.run(main)


def client_of_a_session(url):
    with clients.new_client(base_url=url) as client:
        return client.get("/")


WAYS = [website_in_thread, website_in_task, sdk_in_thread, sdk_in_task, client_of_a_session]
ways = pytest.mark.parametrize("ask", WAYS)


@ways
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "shop.localhost"])
def test_what_goes_to_loopback_never_takes_a_proxy(ask, host, monkeypatch):
    with listening(answering()) as proxy, listening(answering(b'{"active": false}')) as server:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        if host == "127.8.8.8":  # the server listens on 127.0.0.1 alone
            with pytest.raises((ServerUnavailable, httpx2.ConnectError)):
                ask(f"http://{host}:{server.port}")
        else:
            ask(f"http://{host}:{server.port}")
            assert server.connected.acquire(timeout=5)
        assert not proxy.connected.acquire(blocking=False)


def test_the_first_loopback_address_that_answers_is_taken():
    import socket

    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        server.settimeout(5)
        with pytest.raises(httpx2.ReadTimeout), clients.new_client(timeout=0.3) as client:
            client.get(f"http://shop.localhost:{port}/")
        server.accept()[0].close()


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("", "auth.example", False),
        ("*", "auth.example", True),
        ("auth.example", "auth.example", True),
        ("example", "auth.example", True),
        (".example", "auth.example", True),
        ("*.example", "auth.example", True),
        ("uth.example", "auth.example", False),
        ("auth.example:443", "auth.example", True),
        ("auth.example:8443", "auth.example", False),
        ("https://auth.example", "auth.example", True),
        ("other.example, auth.example", "auth.example", True),
        ("10.0.0.0/8", "10.2.3.4", True),
        ("10.0.0.0/8", "11.2.3.4", False),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("fd00::/8", "2001:db8::1", False),
        ("not an entry,[,://", "auth.example", False),
    ],
)
def test_exceptions_from_the_proxy(no_proxy, host, direct, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (Proxies().proxy_for("https", host, 443) is None) is direct


def test_another_scheme_takes_no_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    assert Proxies().proxy_for("https", "auth.example", 443) is None
    found = Proxies().proxy_for("http", "auth.example", 80)
    assert found is not None
    assert found.url == "http://proxy.example:3128"


def test_a_proxy_is_used_for_the_rest(monkeypatch):
    seen = []
    with listening(answering(seen=seen)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:p%40w@127.0.0.1:{proxy.port}")
        with clients.new_client() as client:
            assert client.get("http://auth.example/x").status_code == 200
    assert seen[0].startswith(b"GET http://auth.example/x HTTP/1.1")
    assert b"proxy-authorization: basic dxnlcjpwqhc=" in seen[0].lower()


@ways
@pytest.mark.parametrize(
    "value",
    [
        "socks://127.0.0.1:1080",
        "socks5h://127.0.0.1:1080",
        "http://user:pass#w@proxy.example:3128",
        "http://user:1#w@proxy.example:3128",
        "http://user:pass?w@proxy.example:3128",
        "http://[::1",
        "http://proxy.example:port",
        "://",
        "http://",
        "ftp://proxy.example",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(ask, value, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(ServerUnavailable) as caught:
        ask("https://auth.example")
    assert caught.value.code == "proxy_failed"
    assert "ALL_PROXY" in caught.value.description
    assert "pass" not in f"{caught.value!r} {caught.value.reason}".replace("user:password@", "")


@ways
def test_certificates_that_cannot_be_read_are_named(ask, monkeypatch, tmp_path):
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for path in ("/nonexistent/ca.pem", str(broken)):
        monkeypatch.setenv("SSL_CERT_FILE", path)
        with pytest.raises(ServerUnavailable) as caught:
            ask("https://auth.example")
        assert caught.value.code == "tls_failed"
        assert "SSL_CERT_FILE" in caught.value.description


@ways
def test_plain_http_needs_no_certificates(ask, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")
    with listening(answering(b'{"active": false}')) as server:
        ask(f"http://127.0.0.1:{server.port}")


@pytest.mark.parametrize("ask", [website_in_thread, website_in_task])
def test_no_cookie_of_one_answer_goes_with_the_next_request(ask):
    seen = []
    with listening(answering(seen=seen, head=b"set-cookie: a=1; Path=/\r\n")) as server:
        url = f"http://127.0.0.1:{server.port}/x"
        if ask is website_in_thread:
            ask(url), ask(url)
        else:

            async def twice():
                for _ in range(2):
                    await drive.arun(send(HttpRequest("GET", url)))
                await drive.aclose()

            anyio.run(twice)
    assert len(seen) == 2
    assert not any(b"cookie:" in request.lower() for request in seen)


@pytest.mark.parametrize("where", ["head", "body", "handshake"])
def test_a_server_that_drips_meets_the_deadline(where):
    def drip(connection):
        with connection:
            if where == "body":
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            for _ in range(100):
                try:
                    connection.sendall(b"\x16" if where == "handshake" else b"H")
                except OSError:
                    return
                time.sleep(0.05)

    with listening(drip) as server, clients.new_client(timeout=5) as client:
        scheme = "https" if where == "handshake" else "http"
        started_at = time.monotonic()
        with pytest.raises((httpx2.TransportError, TimeoutError)), deadline(0.3):
            client.get(f"{scheme}://127.0.0.1:{server.port}/")
        assert time.monotonic() - started_at < 2
