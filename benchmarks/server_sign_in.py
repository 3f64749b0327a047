"""Whole sign-ins on the Auth Agent server and on others: authorize, approve, poll, token.

Every server is a process of its own with one worker on this machine; the same client asks all of
them, 16 sign-ins in flight, four requests each: the browser's authorization request, the agent's
approval as JSON, the browser's return for the code, the website's token request (PKCE,
client_secret_basic). Rounds are interleaved and the medians told: CPU time of the server's
process and its children for one sign-in, sign-ins per second, and both as ratios to our server.

What each one does:

- Auth Agent server: `auth-agent serve` with its defaults. SQLite on disk, tokens signed with
  ES256. Secrets of clients and agents are hashed with bcrypt; one just verified is remembered for
  five minutes.
- Authlib on Flask: keeps everything in memory, tokens signed with ES256. Authlib leaves secrets to
  its user: here both are hashed with bcrypt and remembered once verified. On gunicorn.
- oidc-provider: its in-memory adapter, tokens signed with ES256. It keeps client secrets in clear,
  its only way; the agent's is hashed with bcrypt and remembered once verified.
- django-oauth-toolkit: SQLite on disk, ID tokens signed with RS256 (it has no ES256), access
  tokens opaque. It hashes client secrets with Django's PBKDF2 and verifies them anew at each token
  request, its default; a second row keeps them in clear (hash_client_secret=False). The agent's is
  hashed with bcrypt and remembered once verified. On gunicorn.

The others are installed into `.bench/` when they are first needed; one that cannot run on this
machine is left out with a word.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.auth_agent_server import AuthAgentServer
from benchmarks.peers.authlib_flask import AuthlibFlask
from benchmarks.peers.client import IN_FLIGHT, many
from benchmarks.peers.django_oauth_toolkit import DjangoOAuthToolkit
from benchmarks.peers.oidc_provider import OidcProvider
from benchmarks.peers.peer import MissingError, Peer
from benchmarks.peers.process import cpu_seconds, free_port, serving

ROUNDS, SIGN_INS = 15, 200
WARM_UP = 1_000  # Node.js compiles what runs often
OWN = AuthAgentServer()
OTHERS: tuple[Peer, ...] = (
    AuthlibFlask(),
    OidcProvider(),
    DjangoOAuthToolkit(hashed=False),
    DjangoOAuthToolkit(hashed=True),
)


@dataclass
class Row:
    """A running server and what was measured of it, round by round."""

    peer: Peer
    port: int
    pid: int
    log: Path
    costs: list[float] = field(default_factory=list)  # ms of CPU per sign-in
    rates: list[float] = field(default_factory=list)  # sign-ins per second

    def sign_in(self, count: int) -> None:
        """Performs a round of so many sign-ins, fewer on a slow server."""
        count = max(IN_FLIGHT, count // self.peer.slowness)
        before, started = cpu_seconds(self.pid), time.perf_counter()
        try:
            asyncio.run(many(self.port, self.peer.sign_in, count))
        except (AssertionError, OSError, EOFError) as error:
            told = self.log.read_text()[-2_000:]
            raise RuntimeError(f"{self.peer.title} failed: {error}\n{told}") from error
        used, lasted = cpu_seconds(self.pid) - before, time.perf_counter() - started
        self.costs.append(used / count * 1_000)
        self.rates.append(count / lasted)

    def warm_up(self) -> None:
        self.sign_in(WARM_UP)
        self.costs.clear()
        self.rates.clear()


def started(peers: Sequence[Peer], stack: ExitStack) -> list[Row]:
    """Yields the servers that run on this machine; prints why another one does not."""
    rows = []
    for peer in peers:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, log = free_port(), folder / "log"
        try:
            command = peer.command(folder, port)
        except MissingError as missing:
            print(f"  {peer.title} is left out: {missing}")
            continue
        pid = stack.enter_context(serving(command, port, log))
        rows.append(Row(peer, port, pid, log))
    return rows


def measure(peers: Sequence[Peer], rounds: int, count: int) -> list[Row]:
    with ExitStack() as stack:
        rows = started(peers, stack)
        for row in rows:
            row.warm_up()
        for _ in range(rounds):
            for row in rows:
                row.sign_in(count)
    return rows


def report(rows: Sequence[Row]) -> None:
    own = rows[0]
    print(f"  {'':46} {'ms CPU each':>18} {'per second':>18}")
    for row in rows:
        cost, rate = statistics.median(row.costs), statistics.median(row.rates)
        told = (
            f"{cost:9.2f} {ratio(row.costs, own.costs)} {rate:9.0f} {ratio(row.rates, own.rates)}"
        )
        print(f"  {row.peer.title:46} {told}")


def ratio(values: Sequence[float], base: Sequence[float]) -> str:
    """Returns the ratio within each round, so that both meet the same conditions."""
    found = statistics.median(value / one for value, one in zip(values, base, strict=True))
    return f"{found:6.2f} x"


def at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 upward")
    return int(text)


def options(arguments: Sequence[str]) -> argparse.Namespace:
    told = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server_sign_in", description=__doc__, formatter_class=told
    )
    parser.add_argument(
        "--rounds",
        type=at_least_one,
        default=ROUNDS,
        help="interleaved rounds (default: %(default)s)",
    )
    parser.add_argument(
        "--sign-ins",
        type=at_least_one,
        default=SIGN_INS,
        help="sign-ins of a round, fewer for slow servers (default: %(default)s)",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[peer.key for peer in OTHERS],
        help="beside our server measure this one only; may be repeated",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] = ()) -> None:
    told = options(arguments)
    if not Path("/proc/self/stat").exists():
        print("\nWhole sign-ins are left out: the CPU time of a server is read from Linux's /proc")
        return
    others = [peer for peer in OTHERS if not told.only or peer.key in told.only]
    print(f"\nWhole sign-ins, {IN_FLIGHT} in flight, one worker each")
    print(f"  Python {platform.python_version()}, {platform.python_compiler()}")
    report(measure([OWN, *others], told.rounds, told.sign_ins))


if __name__ == "__main__":
    main(sys.argv[1:])
