"""Measures what one core of the server does: sign-ins, tokens and introspections per second.

One worker, on SQLite and on the PostgreSQL database that `--postgresql` names (it is filled, so
take an empty one); 16 requests in flight. A sign-in is four requests: the browser's authorization
request, the agent's approval, the browser's return for the code, the website's token request. A
token is a refresh, which rotates the refresh token. All secrets are bcrypt hashes, of which the
server remembers the ones just verified.

Counted is the CPU time of the server's process alone, because this client and PostgreSQL share the
machine with it: 1,000 ms divided by it is what one core of the server does in a second. Rounds are
interleaved and the medians told.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.peers.auth_agent_server import AuthAgentServer
from benchmarks.peers.client import IN_FLIGHT, People, Wire, many, waiting_page_sign_in
from benchmarks.peers.process import cpu_seconds, free_port, serving

ROUNDS, COUNT = 5, 320
Act = Callable[[Wire], Awaitable[object]]


class Acts:
    """Asks one server; `refresh` takes turns with the refresh tokens that it holds."""

    def __init__(self, people: People, tokens: list[dict[str, Any]]) -> None:
        self._people = people
        self._access_token = tokens[0]["access_token"]
        self._refresh_tokens = [each["refresh_token"] for each in tokens]

    async def sign_in(self, wire: Wire) -> None:
        await waiting_page_sign_in(wire, self._people)

    async def refresh(self, wire: Wire) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh_tokens.pop()}
        told = await wire.post_form("/token", self._people, form)
        self._refresh_tokens.append(told["refresh_token"])

    async def introspect(self, wire: Wire) -> None:
        told = await wire.post_form("/introspect", self._people, {"token": self._access_token})
        assert told["active"] is True, told


class Server:
    """Holds a running server and the CPU time of each act, round by round."""

    def __init__(self, title: str, peer: AuthAgentServer, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.title, self._port = title, free_port()
        command = peer.command(folder, self._port)
        self._pid = stack.enter_context(serving(command, self._port, folder / "log"))
        tokens: list[dict[str, Any]] = []

        async def keep(wire: Wire) -> None:
            tokens.append(await waiting_page_sign_in(wire, peer.people))

        asyncio.run(many(self._port, keep, 2 * IN_FLIGHT))
        acts = Acts(peer.people, tokens)
        self._acts: dict[str, Act] = {
            "sign-ins": acts.sign_in,
            "tokens (refresh)": acts.refresh,
            "introspections": acts.introspect,
        }
        self.costs: dict[str, list[float]] = {name: [] for name in self._acts}
        self.rates: dict[str, list[float]] = {name: [] for name in self._acts}

    def round(self, count: int) -> None:
        for name, act in self._acts.items():
            before, started = cpu_seconds(self._pid), time.perf_counter()
            asyncio.run(many(self._port, act, count))
            lasted = time.perf_counter() - started
            self.costs[name].append((cpu_seconds(self._pid) - before) / count * 1_000)
            self.rates[name].append(count / lasted)

    def warm_up(self, count: int) -> None:
        self.round(count)
        for values in (*self.costs.values(), *self.rates.values()):
            values.clear()


def report(servers: Sequence[Server]) -> None:
    print(f"  {'':34} {'ms CPU each':>12} {'per core second':>16} {'with this client':>17}")
    for server in servers:
        for name, costs in server.costs.items():
            cost, rate = statistics.median(costs), statistics.median(server.rates[name])
            title = f"{server.title}: {name}"
            print(f"  {title:34} {cost:12.2f} {1_000 / cost:16.0f} {rate:17.0f}")


def main(arguments: Sequence[str] = ()) -> None:
    told = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity", description=__doc__, formatter_class=told
    )
    parser.add_argument("--postgresql", metavar="URL", help="an empty database")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--count", type=int, default=COUNT, help="acts of a round")
    options = parser.parse_args(arguments)
    print(f"\nCapacity of one worker, {IN_FLIGHT} in flight")
    print(f"  Python {platform.python_version()}, {platform.machine()}")
    with ExitStack() as stack:
        servers = [Server("SQLite", AuthAgentServer(), stack)]
        if options.postgresql:
            servers.append(Server("PostgreSQL", AuthAgentServer(options.postgresql), stack))
        for server in servers:
            server.warm_up(options.count)
        for _ in range(options.rounds):
            for server in servers:
                server.round(options.count)
        report(servers)


if __name__ == "__main__":
    main(sys.argv[1:])
