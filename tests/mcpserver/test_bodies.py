"""Bodies that two parsers could read differently, or that never end, reach no application."""

from __future__ import annotations

import json
import socket
import time

import httpx2
import pytest

from auth_agent_mcpserver import bodies, protection
from tests.mcpserver.sites import HANDSHAKE, MODERN, ran, result_of

CALL = {"name": "delete_invoice", "arguments": {"number": "1"}}
FORBIDDEN = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": CALL}
HARMLESS = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "whoami", "arguments": {}},
}

TWISTED = {
    "utf-16": json.dumps(FORBIDDEN).encode("utf-16"),
    "utf-16-le": json.dumps(FORBIDDEN).encode("utf-16-le"),
    "utf-32": json.dumps(FORBIDDEN).encode("utf-32"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(FORBIDDEN).encode(),
    "invalid utf-8": json.dumps(FORBIDDEN).encode().replace(b"delete", b"\xffdelete"),
    "latin-1": json.dumps(FORBIDDEN, ensure_ascii=False).replace('"1"', '"é"').encode("latin-1"),
    "method twice": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":'
    + json.dumps(CALL).encode()
    + b"}",
    "method twice, once escaped": b'{"jsonrpc":"2.0","id":1,"method":"ping","meth\\u006fd":'
    b'"tools/call","params":' + json.dumps(CALL).encode() + b"}",
    "name twice": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'
    b'{"name":"whoami","name":"delete_invoice","arguments":{"number":"1"}}}',
    "params twice": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"},'
    b'"params":{"name":"delete_invoice","arguments":{"number":"1"}}}',
    "two documents": json.dumps(HARMLESS).encode() + b"\n" + json.dumps(FORBIDDEN).encode(),
    "a NUL": json.dumps(FORBIDDEN).encode() + b"\0",
    "NaN": b'{"jsonrpc":"2.0","id":NaN,"method":"tools/list"}',
    "deep": b"[" * 100_000,
    "a huge number": b'{"jsonrpc":"2.0","method":"ping","id":' + b"9" * 5_000 + b"}",
    "empty": b"",
    "a string": b'"tools/call"',
    "null": b"null",
    "an empty batch": b"[]",
    "a batch in a batch": json.dumps([[FORBIDDEN]]).encode(),
    "a batch of text": b'["tools/call"]',
    "a long batch": json.dumps([HARMLESS] * 101).encode(),
    "no method": b'{"jsonrpc":"2.0","id":1}',
    "method null": b'{"jsonrpc":"2.0","id":1,"method":null}',
    "method a list": b'{"jsonrpc":"2.0","id":1,"method":["tools/call"]}',
    "name a list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["a"]}}',
    "name null": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":null}}',
    "no name": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}',
    "no params": b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
    "params a list": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["delete_invoice"]}',
    "uri a number": b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":1}}',
    "completes nothing": b'{"jsonrpc":"2.0","id":1,"method":"completion/complete",'
    b'"params":{"ref":{"type":"ref/prompt"}}}',
}


@pytest.fixture
def agent(stateful):
    return stateful.agent(scope="invoices:write danger ledger:read")


@pytest.mark.parametrize("body", TWISTED.values(), ids=TWISTED)
@pytest.mark.parametrize("version", [None, HANDSHAKE, MODERN])
def test_what_cannot_be_judged_is_not_passed_on(agent, body, version):
    headers = {"mcp-protocol-version": version} if version else {}
    answer = agent.send_body(body, **headers)
    assert answer.status_code == 400
    assert result_of(answer)["error"]["code"] in (-32700, -32600, -32602)
    assert ran == []


def test_escapes_in_names_are_read_before_they_are_judged(stateful):
    body = json.dumps(FORBIDDEN).replace("tools/call", "tools\\u002fcall").encode()
    assert stateful.agent().send_body(body).status_code == 403
    body = json.dumps(FORBIDDEN).replace("delete_invoice", "\\u0064elete_invoice").encode()
    assert stateful.agent().send_body(body).status_code == 403
    assert ran == []


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]
)
def test_the_body_is_judged_whatever_its_type_is_called(stateful, content_type):
    headers = {"content_type": content_type}
    assert stateful.agent().send_body(FORBIDDEN, **headers).status_code == 403
    assert ran == []


class TestBatches:
    @pytest.mark.parametrize("order", [(HARMLESS, FORBIDDEN), (FORBIDDEN, HARMLESS)])
    def test_one_that_may_not_be_called_refuses_all(self, stateful, order):
        also = {**FORBIDDEN, "params": {"name": "danger_zone", "arguments": {}}}
        answer = stateful.agent().send_body([*order, also])
        assert answer.status_code == 403
        scopes = result_of(answer)["error"]["data"]["scope"].split()
        assert set(scopes) == {"invoices:write", "danger"}
        assert (result_of(answer)["id"], ran) == (None, [])

    def test_a_batch_of_what_may_be_called_is_the_servers_matter(self, stateful):
        assert stateful.agent().send_body([HARMLESS, HARMLESS]).status_code == 400
        assert ran == [], "both packages refuse batches"

    def test_a_header_fits_no_batch(self, agent):
        headers = {"mcp_method": "tools/call", "mcp_name": "whoami"}
        answer = agent.send_body([HARMLESS, HARMLESS], **headers)
        assert result_of(answer)["error"]["code"] == -32020
        assert agent.send_body([HARMLESS], **headers).status_code == 400


class TestSize:
    def test_a_large_body_is_413_before_it_is_read(self, agent):
        answer = agent.send_body(b"{" + b" " * protection.MAX_BODY)
        assert answer.status_code == 413

    def test_a_large_body_in_chunks_is_413(self, stateful):
        agent = stateful.agent()

        def chunks():
            yield b"["
            for _ in range(5 * 16):
                yield b" " * 65_536

        answer = agent.post("/mcp", content=chunks(), headers={"content-type": "application/json"})
        assert answer.status_code == 413

    def test_a_body_in_small_chunks_arrives_as_it_was_sent(self, stateful):
        agent = stateful.agent()
        raw = json.dumps(FORBIDDEN).encode()
        chunks = (raw[at : at + 1] for at in range(len(raw)))
        headers = {"content-type": "application/json", "accept": "application/json"}
        assert agent.post("/mcp", content=chunks, headers=headers).status_code == 403

    def test_a_compressed_body_is_refused(self, agent):
        import gzip

        body = gzip.compress(json.dumps(FORBIDDEN).encode())
        answer = agent.send_body(body, content_encoding="gzip")
        assert (answer.status_code, ran) == (400, [])

    def test_a_body_that_does_not_end_is_not_waited_for(self, stateful, monkeypatch):
        monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
        token = stateful.agent().headers["authorization"]
        host, port = stateful.base_url.removeprefix("http://").split(":")
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
        )
        with socket.create_connection((host, int(port)), 10) as slow:
            slow.sendall(head.encode())
            began = time.monotonic()
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 5

    def test_nobodys_body_is_not_read(self, stateful):
        host, port = stateful.base_url.removeprefix("http://").split(":")
        head = f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n\r\n"
        with socket.create_connection((host, int(port)), 10) as caller:
            caller.sendall(head.encode())
            assert caller.recv(100).startswith(b"HTTP/1.1 401")


def test_an_id_comes_back_and_a_strange_one_does_not(stateful):
    for sent, returned in ((7, 7), ("seven", "seven"), (None, None), ([1], None), (1.5, None),
                           ("x" * 1_000, None), ("\ud800", None), (True, None)):  # fmt: skip
        answer = stateful.agent().send_body({**FORBIDDEN, "id": sent})
        assert (answer.status_code, result_of(answer)["id"]) == (403, returned)


def test_other_methods_do_not_carry_a_call(stateful):
    for method in ("PUT", "PATCH", "QUERY"):
        agent = stateful.agent()
        answer = agent.request(method, "/mcp", json=FORBIDDEN)
        assert answer.status_code == 403
    headers = {"x-http-method-override": "POST", **stateful.agent().headers}
    answer = httpx2.request("DELETE", f"{stateful.base_url}/mcp", json=FORBIDDEN, headers=headers)
    assert answer.status_code in (400, 404, 405)
    assert ran == []
