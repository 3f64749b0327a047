"""Tokens that are bound to a key (RFC 9449) on every stack, over real HTTP."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from auth_agent.flow import drive
from auth_agent.testing import FakeServer
from tests.adapters.conftest import Visitor, settings_of
from tests.adapters.network import free_port, serve_asgi, serve_provider
from tests.adapters.stacks import STACKS
from tests.mcpserver.sites import ACCEPT, make_app, result_of
from tests.proofs import Holder
from tests.world import SERVERS, run_process

JSON = {"accept": "application/json"}
HOLDER = Holder()


@pytest.fixture(scope="module", params=STACKS)
def running(request):
    stack, port, site_port = STACKS[request.param], free_port(), free_port()
    provider, base_url = FakeServer(f"http://127.0.0.1:{port}"), f"http://127.0.0.1:{site_port}"
    with serve_provider(provider, port):
        with stack.serve(stack.build(settings_of(provider, base_url)), site_port):
            yield base_url, provider, request.param
        drive.close()


@pytest.fixture
def site(running):
    running[1].reset()
    with Visitor(*running) as visitor:
        visitor.origin = running[0]
        yield visitor


def token_of(site, holder=HOLDER, **claims):
    bound = {"cnf": {"jkt": holder.jkt}} if holder else {}
    return site.provider.access_token(aud=site.origin, **bound, **claims)


def proof(site, token, method="GET", target="/me", holder=HOLDER, **bent):
    return holder.proof(method, site.origin + target, time.time(), token, **bent)


def sent(token, text, scheme="DPoP"):
    headers = {**JSON, "authorization": f"{scheme} {token}"}
    return headers if text is None else {**headers, "dpop": text}


def assert_refused(answer, cause, error="invalid_dpop_proof"):
    document = answer.json()
    assert (answer.status_code, document["error"], document["cause"]) == (401, error, cause)
    assert answer.headers["www-authenticate"].startswith(f'DPoP error="{error}"')


def test_a_bound_token_beside_its_proof_is_an_agent_on_every_page(site):
    token = token_of(site, scope="reports:read")
    me = {"agent_id": "agent_7", "via": "dpop"}
    assert site.get("/me", headers=sent(token, proof(site, token))).json() == me
    home = site.get("/?x=1", headers=sent(token, proof(site, token, target="/")))
    assert home.json() == me
    assert "private" in home.headers["cache-control"]
    for target in ("/private/report", "/reports"):
        answer = site.get(target, headers=sent(token, proof(site, token, target=target)))
        assert answer.status_code == 200
    head = site.head("/me", headers=sent(token, proof(site, token, "HEAD")))
    assert head.status_code in (200, 405), "some routers take GET alone"
    if not site.stack.startswith("django"):  # which wants its own token beside
        posted = site.post("/me", headers=sent(token, proof(site, token, "POST")))
        assert posted.json() == me, "no cookie, so no page of another website can act with it"


def test_it_proves_nothing_a_second_time_or_elsewhere(site):
    token = token_of(site)
    text = proof(site, token)
    assert site.get("/me", headers=sent(token, text)).status_code == 200
    assert_refused(site.get("/me", headers=sent(token, text)), "proof_used")
    fresh = proof(site, token)
    assert_refused(site.get("/private/report", headers=sent(token, fresh)), "proof_target")
    other = token_of(site, agent_id="agent_8", sub="agent_8")
    assert_refused(site.get("/me", headers=sent(other, fresh)), "proof_token")
    assert site.get("/me", headers=sent(token, fresh)).status_code == 200, "it is still unused"


def test_without_a_good_proof_it_is_worth_nothing(site):
    token = token_of(site)
    assert_refused(site.get("/me", headers=sent(token, None)), "proof_missing")
    assert_refused(site.get("/me", headers=sent(token, "x.y.z")), "proof_malformed")
    stranger = Holder().proof("GET", f"{site.origin}/me", time.time(), token)
    refused = site.get("/me", headers=sent(token, stranger))
    assert_refused(refused, "token_key_mismatch", "invalid_token")
    for text in (None, proof(site, token)):
        answer = site.get("/me", headers=sent(token, text, "Bearer"))
        assert (answer.status_code, answer.json()["cause"]) == (401, "token_bound")
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer error="invalid_token"')
        assert challenge.endswith('DPoP algs="ES256 EdDSA"')


def test_an_unbound_token_is_no_bound_one(site):
    token = token_of(site, holder=None)
    assert site.get("/me", headers=sent(token, None, "Bearer")).json()["via"] == "bearer"
    refused = site.get("/me", headers=sent(token, proof(site, token)))
    assert_refused(refused, "token_unbound", "invalid_token")


def test_a_missing_scope_is_told_in_its_scheme(site):
    token = token_of(site)
    answer = site.get("/reports", headers=sent(token, proof(site, token, target="/reports")))
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert answer.headers["www-authenticate"].startswith('DPoP error="insufficient_scope"')


def test_nobody_is_offered_both_schemes(site):
    challenge = site.get("/me", headers=JSON).headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert challenge.endswith(', DPoP algs="ES256 EdDSA"')


def test_hosts_that_others_name_prove_nothing(site):
    token = token_of(site)
    elsewhere = HOLDER.proof("GET", "http://localhost/me", time.time(), token)
    headers = {**sent(token, elsewhere), "x-forwarded-host": "localhost"}
    assert_refused(site.get("/me", headers=headers), "proof_target")


@pytest.mark.parametrize("target", ["/private/a%20b", "/private/%C3%A9", "/private/a+b~c;d=1"])
def test_the_target_is_the_path_as_it_was_sent(site, target):
    token = token_of(site)
    answer = site.get(target, headers=sent(token, proof(site, token, target=target)))
    assert answer.status_code != 401, answer.text


def test_of_two_proofs_or_tokens_none_counts(site):
    token = token_of(site)
    host, port = site.origin.removeprefix("http://").split(":")
    for doubled, status in (("dpop", 401), ("authorization", 400)):
        pairs = [*sent(token, proof(site, token)).items()]
        again = ("dpop", proof(site, token)), ("authorization", f"DPoP {token}")
        pairs += [pair for pair in again if pair[0] == doubled]
        with closing(HTTPConnection(host, int(port), timeout=10)) as connection:
            connection.putrequest("GET", "/me")
            for name, value in pairs:
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status, doubled


def test_the_same_proof_at_once_counts_once(site):
    token = token_of(site)
    text, start = proof(site, token), threading.Barrier(6)
    site.get("/me", headers=sent(token, proof(site, token)))  # the token is known from here on

    def send(_):
        start.wait(10)
        return httpx2.get(f"{site.origin}/me", headers=sent(token, text)).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(send, range(6))) == [200] + [401] * 5


@pytest.mark.parametrize("server", SERVERS)
def test_servers_lose_no_second_proof(server):
    """Tells two proofs from one on every server; each joins repeated headers in its own way."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    is_wsgi = server.startswith(("gunicorn", "waitress"))
    target = f"examples.{'flask' if is_wsgi else 'starlette'}_site:app"
    environ = {
        "AUTH_AGENT_ISSUER": "http://127.0.0.1:9",
        "AUTH_AGENT_BASE_URL": origin,
        "AUTH_AGENT_SIGN_IN": "false",
    }
    with run_process(target, server, port, environ):
        text = HOLDER.proof("GET", f"{origin}/me", time.time(), "a.b.c")
        pairs = [("accept", "application/json"), ("authorization", "DPoP a.b.c"), ("dpop", text)]
        one = httpx2.get(f"{origin}/me", headers=pairs).json()
        two = httpx2.get(f"{origin}/me", headers=[*pairs, ("dpop", text)]).json()
        assert two["cause"] == "proof_repeated"
        assert one["cause"] == "token_malformed" or one["error"] == "server_unavailable"


@pytest.fixture(params=["asgi", "starlette", "fastapi"])
def socket_site(request, provider):
    from tests.adapters.test_sockets import STACKS as SOCKETS

    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    app = SOCKETS[request.param](settings_of(provider, base_url))
    with serve_asgi(app, port), Visitor(base_url, provider, request.param) as visitor:
        visitor.origin = base_url
        yield visitor


def test_a_websocket_opens_by_a_proof_for_its_http_address(socket_site):
    url = socket_site.origin.replace("http:", "ws:") + "/chat"
    token = token_of(socket_site)
    text = proof(socket_site, token, target="/chat")
    with connect(url, additional_headers=sent(token, text), compression=None) as socket:
        assert socket.recv(10) == "agent_7"
    for bad in (text, HOLDER.proof("GET", url, time.time(), token)):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, additional_headers=sent(token, bad), compression=None).close()
        assert refused.value.response.status_code == 401


@pytest.mark.parametrize("kind", ["mcp", "fastmcp"])
def test_an_mcp_server_takes_bound_tokens_and_each_proof_once(provider, kind):
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    app = make_app(kind, provider, base_url, json_response=True)
    with serve_asgi(app, port, loop="asyncio"), Visitor(base_url, provider, kind) as site:
        site.origin = base_url
        token = provider.access_token(aud=f"{base_url}/mcp", cnf={"jkt": HOLDER.jkt})
        opened = {"protocolVersion": "2025-11-25", "capabilities": {}}
        opened["clientInfo"] = {"name": "raw", "version": "1"}
        answer, _ = rpc(site, token, "initialize", opened)
        assert answer.status_code == 200, answer.text
        session = {"mcp-session-id": answer.headers["mcp-session-id"]}
        whoami = {"name": "whoami", "arguments": {}}
        called, text = rpc(site, token, "tools/call", whoami, session)
        (content,) = result_of(called)["result"]["content"]
        assert content["text"] == "agent_7"
        again, _ = rpc(site, token, "tools/call", whoami, session, text)
        assert again.status_code == 401
        assert again.json()["error"]["data"]["cause"] == "proof_used"
        forbidden = {"name": "delete_invoice", "arguments": {"number": "1"}}
        lacking, _ = rpc(site, token, "tools/call", forbidden, session)
        assert lacking.status_code == 403
        assert lacking.headers["www-authenticate"].startswith("DPoP ")
        bearer = {**session, "authorization": f"Bearer {token}"}
        stolen, _ = rpc(site, token, "tools/call", whoami, bearer)
        assert stolen.status_code == 401


def rpc(site, token, method, params, more=None, text=None):
    text = text or proof(site, token, "POST", "/mcp")
    content = {"content-type": "application/json", **ACCEPT}
    headers = {**sent(token, text), **content, **(more or {})}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return site.post("/mcp", json=body, headers=headers), text
