"""oidc-provider on Node.js with its in-memory adapter; 8 is the last line that supports Node 20."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.peers.client import People, Wire, authorize
from benchmarks.peers.installed import node_modules
from benchmarks.peers.peer import Command

SERVER = Path(__file__).with_name("servers") / "oidc_provider.mjs"


class OidcProvider:
    key, title, slowness = "oidc-provider", "oidc-provider on Node.js, in memory", 1

    def command(self, folder: Path, port: int) -> Command:
        installed = node_modules("oidc-provider@^8.8", "bcrypt@^6")
        server = shutil.copy(SERVER, installed)  # modules are looked for from where a file lies
        return Command(["node", str(server), str(port)], {"NODE_ENV": "production"})

    async def sign_in(self, wire: Wire) -> None:
        """Performs interaction, agent's approval, resumed authorization and token request."""
        people = People()
        sent = await wire.get(authorize("/auth", people), status=303)
        proof = {"agent_id": people.agent_id, "agent_secret": people.agent_secret, "model": "m"}
        told = await wire.post_json(sent.header("location"), proof)
        resume = urlsplit(json.loads(told.body)["resume"]).path
        back = await wire.get(resume, sent.cookies, status=303)
        code = parse_qs(urlsplit(back.header("location")).query)["code"][0]
        await wire.redeem("/token", people, code)
