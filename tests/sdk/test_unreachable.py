"""Servers that do not answer: the error says why, and what to do about it."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from auth_agent import ServerUnavailable
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from tests.adapters.network import free_port
from tests.sdk.conftest import run_async
from tests.tls import make_certificate


def _sync(server_url):
    AgentSDK(agent_id="a", server_url=server_url, deadline=1.2).get_user_info("at.1.x")


def _async(server_url):
    sdk = AsyncAgentSDK(agent_id="a", server_url=server_url, deadline=1.2)
    run_async(sdk.get_user_info, "at.1.x")


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def refused(request):
    def ask(server_url):
        with pytest.raises(ServerUnavailable) as caught:
            request.param(server_url)
        assert "at.1.x" not in str(caught.value)
        return caught.value

    return ask


@contextmanager
def listening(answer):
    """Hands each connection to `answer` until the test is over."""
    with socket.create_server(("", 0)) as listener:
        listener.settimeout(0.1)
        done = threading.Event()

        def serve():
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(5)
                    try:
                        answer(connection)
                    except OSError:  # the other side hangs up, as it should
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join(5)


@pytest.fixture(scope="module")
def own_authority(tmp_path_factory):
    """Makes a self-signed certificate for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path_factory.mktemp("tls")))
    return context


def test_a_certificate_that_nobody_trusts(refused, own_authority):
    def shake_hands(connection):
        own_authority.wrap_socket(connection, server_side=True).close()

    with listening(shake_hands) as port:
        error = refused(f"https://127.0.0.1:{port}")
    assert error.code == "tls_failed"
    assert "not trusted" in error.description
    assert "self" in error.description
    assert "whole chain" in error.description
    assert "SSL_CERT_FILE" in error.description


@pytest.mark.parametrize(
    ("days", "host", "remedy"),
    [(-1, "127.0.0.1", "Renew the certificate"),
     (1, "127.0.0.2", "Use the name that the certificate is for")],
)  # fmt: skip
def test_each_trouble_of_a_certificate_has_its_remedy(tmp_path, days, host, remedy):
    """Uses a process for each case, because a process reads SSL_CERT_FILE once."""
    paths = make_certificate(tmp_path, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)

    def shake_hands(connection):
        context.wrap_socket(connection, server_side=True).close()

    with listening(shake_hands) as port:
        issuer = f"https://{host}:{port}"
        done = subprocess.run(
            [sys.executable, "-m", "auth_agent", "login", f"{issuer}/me", "--agent-id", "a",
             "--issuer", issuer],
            env={**os.environ, "SSL_CERT_FILE": str(paths[0]), "AUTH_AGENT_AGENT_SECRET": "ags_1",
                 "NO_PROXY": "*"},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert remedy in done.stderr


def test_a_port_that_speaks_no_tls(refused):
    def speak_http(connection):
        connection.recv(1_024)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    with listening(speak_http) as port:
        error = refused(f"https://127.0.0.1:{port}")
    assert error.code == "tls_failed"
    assert "its port speaks https" in error.description


def test_a_name_that_has_no_address(refused):
    error = refused("https://auth.invalid")  # RFC 6761 6.4
    assert error.code == "dns_failed"
    assert "auth.invalid" in error.description


def test_a_proxy_that_refuses(refused, monkeypatch):
    def refuse(connection):
        connection.recv(1_024)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

    with listening(refuse) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        error = refused("https://auth.example")
    assert error.code == "proxy_failed"
    assert "HTTPS_PROXY" in error.description


def test_nobody_listens(refused):
    error = refused(f"http://127.0.0.1:{free_port()}")
    assert error.code == "server_unavailable"
    assert "Connection refused" in error.description
    assert "Check that it runs" in error.description
