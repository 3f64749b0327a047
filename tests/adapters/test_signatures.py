"""Signed requests on every stack, over real HTTP, with a key directory that is really fetched."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import http_message_signatures as peer
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from auth_agent import RelyingParty
from auth_agent.flow import drive
from auth_agent.protocol.signatures.agents import WELL_KNOWN
from auth_agent.protocol.signatures.directory import MEDIA_TYPE
from auth_agent.protocol.signatures.sign import sign_request
from auth_agent.testing import FakeServer
from tests.adapters.conftest import Visitor, settings_of
from tests.adapters.network import free_port, serve_asgi, serve_provider
from tests.adapters.stacks import STACKS
from tests.mcpserver.sites import ACCEPT, make_app, result_of
from tests.protocol.signatures.signing import jwk_of, new_key
from tests.website.browser import ValueVisit

KEY, OTHER = new_key(), new_key()
JSON = {"accept": "application/json"}


class Directory:
    """A signature agent on this machine: its name, and the keys that it publishes."""

    def __init__(self, port):
        self.origin = f"http://127.0.0.1:{port}"
        self.agent = f"{self.origin}/agents/agent_7"
        self.reset()

    def reset(self):
        self.keys, self.status, self.asked = [KEY], 200, 0
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()


@contextmanager
def serve_directory():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            directory.asked += 1
            directory.is_asked.set()
            directory.may_answer.wait(10)
            kind = MEDIA_TYPE if self.path == WELL_KNOWN else "application/json"
            body = json.dumps({"keys": [jwk_of(key) for key in directory.keys]}).encode()
            self.send_response(directory.status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    directory = Directory(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield directory
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def directory():
    with serve_directory() as made:
        yield made
    drive.close()


@pytest.fixture(scope="module", params=STACKS)
def running(request, directory):
    stack, port, site_port = STACKS[request.param], free_port(), free_port()
    provider, base_url = FakeServer(f"http://127.0.0.1:{port}"), f"http://127.0.0.1:{site_port}"
    listed = f"{directory.origin},{directory.origin}/agents/*"
    with serve_provider(provider, port):
        app = stack.build(settings_of(provider, base_url, signatures=listed))
        with stack.serve(app, site_port):
            yield base_url, provider, request.param


@pytest.fixture
def site(running, directory):
    directory.reset()
    running[1].reset()
    with Visitor(*running) as visitor:
        visitor.origin = running[0]
        visitor.directory = directory
        yield visitor


def signed(site, method="GET", target="/me", **options):
    """Returns the headers of a request that is signed now."""
    given = {"key": KEY, "agent": site.directory.agent, "now": time.time()}
    options = {**given, "nonce": os.urandom(16), **options}
    return dict(sign_request(method, f"{site.origin}{target}", **options))


def call(site, method="GET", target="/me", headers=None, **options):
    given = {**JSON, **signed(site, method, target, **options), **(headers or {})}
    return site.request(method, target, headers=given, content=options.get("body"))


def test_a_signed_request_is_an_agent_on_every_page(site):
    me = {"agent_id": site.directory.agent, "via": "signature"}
    headers = {**JSON, **signed(site)}
    assert [site.get("/me", headers=headers).json() for _ in range(2)] == [me, me]
    assert call(site, target="/").json() == me
    assert call(site, target="/private/report").json() == {"report": 42}
    assert call(site, "HEAD", "/private/report").status_code == 200
    lacking = call(site, target="/reports")
    assert (lacking.status_code, lacking.json()["error"]) == (403, "insufficient_scope")
    assert "private" in call(site, target="/").headers["cache-control"]


def test_a_change_needs_a_nonce_that_is_new(site):
    headers = {**JSON, **signed(site, "POST", body=b"order=7")}
    first = site.post("/me", headers=headers, content=b"order=7")
    assert first.json() == {"agent_id": site.directory.agent, "via": "signature"}
    again = site.post("/me", headers=headers, content=b"order=7")
    assert (again.status_code, again.json()["cause"]) == (401, "nonce_used")
    foreign = call(site, "POST", headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403


TARGETS = ["/a%20b?x=1&y=%2F%2e", "/a+b~c", "/x?", "/%C3%A9?q=%C3%A9"]


@pytest.mark.parametrize("target", [f"/private{one}" for one in TARGETS])
def test_path_and_query_are_covered_as_they_were_sent(site, target):
    answer = call(site, target=target)
    # "?" alone is no query to a server, and the signer covered the same.
    assert answer.status_code == 200, answer.text
    other = {**JSON, **signed(site, target="/private/other")}
    assert site.get(target, headers=other).json()["cause"] == "signature_wrong"


def test_fields_that_come_in_two_lines_are_one(site):
    made = signed(site)
    with closing(HTTPConnection(site.origin.removeprefix("http://"), timeout=10)) as raw:
        raw.putrequest("GET", "/me")
        raw.putheader("Accept", "application/json")
        raw.putheader("Signature-Input", 'proxy=("@method");created=1;keyid="p"')
        raw.putheader("Signature", "proxy=:AAAA:")
        for name, value in made.items():
            raw.putheader(name, value)
        raw.endheaders()
        answer = raw.getresponse()
        assert json.loads(answer.read())["via"] == "signature"


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"key": OTHER}, "key_unknown"),
        ({"now": 1_000_000_000}, "signature_expired"),
        ({"agent": "https://stranger.example"}, "agent_not_listed"),
    ],
)
def test_a_signature_that_does_not_count_is_401_and_says_why(site, options, cause):
    answer = call(site, **options)
    assert answer.status_code == 401
    assert (answer.json()["error"], answer.json()["cause"]) == ("invalid_signature", cause)
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert answer.headers["accept-signature"].startswith('sig1=("@authority" ')
    assert call(site, target="/static", **options).status_code == 200


def test_what_others_send_by_host_proves_nothing(site):
    made = signed(site)
    made["Host"] = "evil.example"
    assert site.get("/me", headers={**JSON, **made}).status_code == 200  # the base URL counts
    evil = dict(
        sign_request(
            "GET",
            "https://evil.example/me",
            key=KEY,
            agent=site.directory.agent,
            now=time.time(),
            nonce=b"n" * 16,
        )
    )
    for headers in ({}, {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}):
        answer = site.get("/me", headers={**JSON, **evil, **headers})
        assert answer.json()["cause"] == "signature_wrong"


def test_an_unlisted_browser_goes_to_the_sign_in_and_its_session_counts(site):
    page = {"accept": "text/html", "sec-fetch-mode": "navigate"}
    stranger = {"agent": "https://stranger.example"}
    answer = call(site, headers=page, **stranger)
    assert answer.status_code == 303
    site.sign_in()
    assert call(site, **stranger).json() == {"agent_id": "agent_7", "via": "session"}
    assert call(site).json()["via"] == "session"
    bearer = {"authorization": f"Bearer {site.provider.access_token(aud=site.origin)}"}
    assert call(site, headers=bearer).json()["via"] == "bearer"
    two = call(site, headers={"authorization": "Bearer a, DPoP b"})
    assert two.status_code == 400


def test_a_directory_that_fails_is_503_with_retry_after(running, directory):
    directory.reset()
    directory.status = 500
    stack, port = STACKS[running[2]], free_port()
    base_url = f"http://127.0.0.1:{port}"
    app = stack.build(settings_of(running[1], base_url, signatures=directory.origin))
    with stack.serve(app, port), Visitor(base_url, running[1], running[2]) as site:
        site.origin, site.directory = base_url, directory
        answer = call(site, agent=directory.origin)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 5
        assert call(site, target="/static", agent=directory.origin).status_code == 200
        assert directory.asked == 1


def test_another_library_signs_and_every_stack_verifies(site):
    class Request:
        method, url = "POST", f"{site.origin}/me"
        headers = {"Signature-Agent": f'x="{site.directory.origin}"'}  # noqa: RUF012

    class Keys(peer.HTTPSignatureKeyResolver):
        def resolve_private_key(self, key_id):
            return KEY.key

    import datetime

    now = datetime.datetime.now(datetime.timezone.utc)
    signer = peer.HTTPMessageSigner(
        signature_algorithm=peer.algorithms.ED25519, key_resolver=Keys()
    )
    signer.sign(
        Request,
        key_id=KEY.kid,
        created=now,
        expires=now + datetime.timedelta(seconds=30),
        nonce="a nonce",
        label="x",
        tag="web-bot-auth",
        covered_component_ids=("@method", "@target-uri", '"signature-agent";key="x"'),
    )
    answer = site.post("/me", headers={**JSON, **Request.headers})
    assert answer.json()["agent_id"] == site.directory.origin


@pytest.fixture(params=["asgi", "starlette"])
def socket_site(request, provider, directory):
    from tests.adapters.test_sockets import STACKS as SOCKETS

    directory.reset()
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    app = SOCKETS[request.param](
        settings_of(provider, base_url, signatures=f"{directory.origin}/agents/*")
    )
    with serve_asgi(app, port), Visitor(base_url, provider, request.param) as visitor:
        visitor.origin, visitor.directory = base_url, directory
        yield visitor


def test_a_websocket_opens_by_a_signature_and_not_from_another_page(socket_site):
    url = socket_site.origin.replace("http:", "ws:") + "/chat"
    headers = signed(socket_site, target="/chat")
    with connect(url, additional_headers=headers, compression=None) as socket:
        assert socket.recv(10) == socket_site.directory.agent
    foreign = {**headers, "Origin": "https://evil.example"}
    with pytest.raises(InvalidStatus):
        connect(url, additional_headers=foreign, compression=None).close()


@pytest.mark.parametrize("kind", ["mcp", "fastmcp"])
def test_an_mcp_server_takes_signed_calls_and_each_once(provider, directory, kind):
    directory.reset()
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    listed = {"signatures": f"{directory.origin}/agents/*"}
    app = make_app(kind, provider, base_url, settings=listed, json_response=True)
    with serve_asgi(app, port, loop="asyncio"), Visitor(base_url, provider, kind) as site:
        site.origin, site.directory = base_url, directory
        opened = {"protocolVersion": "2025-11-25", "capabilities": {}}
        opened["clientInfo"] = {"name": "raw", "version": "1"}
        answer, headers = rpc(site, "initialize", opened)
        assert answer.status_code == 200, answer.text
        session = {"mcp-session-id": answer.headers["mcp-session-id"]}
        called, headers = rpc(site, "tools/call", {"name": "whoami", "arguments": {}}, session)
        (content,) = result_of(called)["result"]["content"]
        assert content["text"] == directory.agent
        again, _ = rpc(site, "tools/call", {"name": "whoami", "arguments": {}}, session, headers)
        assert again.status_code == 401
        assert again.json()["error"]["data"]["cause"] == "nonce_used"
        forbidden = {"name": "delete_invoice", "arguments": {"number": "1"}}
        lacking, _ = rpc(site, "tools/call", forbidden, session)
        assert lacking.status_code == 403


def rpc(site, method, params, more=None, headers=None):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    headers = headers or signed(site, "POST", "/mcp", body=body)
    given = {"content-type": "application/json", **ACCEPT, **headers, **(more or {})}
    return site.post("/mcp", content=body, headers=given), headers


def test_many_requests_at_a_cold_start_cause_one_fetch(provider, directory):
    directory.reset()
    directory.may_answer.clear()
    base_url = "http://localhost:8000"
    listed = f"{directory.origin}/agents/*"
    relying_party = RelyingParty(settings_of(provider, base_url, signatures=listed))
    agents = []

    async def enter(target):
        given = {"key": KEY, "agent": directory.agent, "now": time.time()}
        made = sign_request("GET", f"{base_url}{target}", nonce=os.urandom(16), **given)
        headers = {name.lower(): value for name, value in made}
        outcome = relying_party.enter(ValueVisit("GET", target, headers))
        agents.append((await drive.arun(outcome)).agent)

    async def main():
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(enter, f"/{number}")
            await anyio.to_thread.run_sync(directory.is_asked.wait, 10)
            assert agents == []
            directory.may_answer.set()
        await drive.aclose()

    anyio.run(main)
    assert {agent.id for agent in agents} == {directory.agent}
    assert (len(agents), directory.asked) == (10, 1)
