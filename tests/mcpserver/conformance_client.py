"""The agent's side for the conformance suite: `python -m ... URL` lists the tools of a server.

The suite's authorization server has another port each time, so it is read from the server's own
metadata; an agent pins the server that it was given.
"""

from __future__ import annotations

import json
import os
import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from auth_agent.sdk import AsyncAgentSDK

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"accept": "application/json, text/event-stream"}


async def main(url):
    given = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    challenge = httpx2.post(url, json=PING, headers=ACCEPT).headers["www-authenticate"]
    known = challenge.partition('resource_metadata="')[2].partition('"')[0]
    issuer = httpx2.get(known).json()["authorization_servers"][0]
    key = given.get("private_key_pem")
    proof = {"private_key": key} if key else {"agent_secret": given.get("client_secret", "s" * 40)}
    name = given.get("client_id", "agent_x")
    sdk = AsyncAgentSDK(agent_id=name, server_url=issuer.rstrip("/"), model="m", **proof)
    async with (
        httpx2.AsyncClient(auth=sdk.mcp_auth(), timeout=20) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        await client.list_tools()


if __name__ == "__main__":
    anyio.run(main, sys.argv[-1])
