"""The addresses of hosts that strangers choose: looked up within bounds, and judged."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent import futures

from auth_agent.flow.connections.deadline import seconds_left
from auth_agent.flow.fetching.refusals import FetchRefused, NoPlace
from auth_agent.flow.kept import Guard

# More than fetches: a hanging look-up keeps its thread after its fetch has given up.
LOOKUPS = 32
# Running look-ups of one domain, so that its name server cannot occupy all threads.
LOOKUPS_OF_ONE = 4
# How long a name whose look-up has failed is not looked up again.
FAILED_FOR = 60.0  # seconds
MOST_FAILED = 1_000  # failed names in memory
# Ranges for the public internet; site-local, NAT64 and the like lie outside.
_UNICAST = ipaddress.ip_network("2000::/3")
Resolve = Callable[[str, int], list[str]]


class Lookups:
    """Looks names up for all threads; a domain with hanging look-ups gets no more threads."""

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve or _addresses
        # The system's resolver has its own, longer time-outs.
        self._threads = futures.ThreadPoolExecutor(LOOKUPS, "auth-agent-names")
        self._lock = Guard()
        self._looking: Counter[str] = Counter()
        self._failed: OrderedDict[str, float] = OrderedDict()

    def look_up(self, host: str, port: int) -> list[str]:
        """Returns the addresses; raises `FetchRefused` or `OSError`, within the deadline."""
        domain = domain_of(host)
        with self._lock:
            if self._failed.get(host, 0.0) > time.monotonic():
                raise FetchRefused("the name could not be looked up a moment ago")
            if self._looking[domain] >= LOOKUPS_OF_ONE:
                raise FetchRefused("the name servers of this domain do not answer")
            self._looking[domain] += 1
        try:
            running = self._threads.submit(self._resolve, host, port)
        except RuntimeError:  # no thread left, or closed: nothing was learned about the name
            self._looked_up(domain)
            raise NoPlace("no thread could be started to look the name up") from None
        running.add_done_callback(lambda _: self._looked_up(domain))
        try:
            return running.result(seconds_left())
        except futures.TimeoutError:
            running.cancel()
            self._has_failed(host)
            raise FetchRefused("the name service does not answer in time") from None
        except OSError:
            self._has_failed(host)
            raise

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _has_failed(self, host: str) -> None:
        with self._lock:
            self._failed[host] = time.monotonic() + FAILED_FOR
            self._failed.move_to_end(host)
            while len(self._failed) > MOST_FAILED:
                self._failed.popitem(last=False)

    def _looked_up(self, domain: str) -> None:
        with self._lock:
            self._looking[domain] -= 1
            if not self._looking[domain]:
                del self._looking[domain]


def domain_of(host: str) -> str:
    """Returns the registrable domain, roughly: two labels, three below co.uk and the like."""
    labels = host.rstrip(".").split(".")
    return ".".join(labels[-3:] if len(labels) > 2 and len(labels[-2]) <= 3 else labels[-2:])


def is_public(text: str) -> bool:
    """Returns True for a public internet address; an IPv4-mapped one counts as IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(str(address.ipv4_mapped))
        if address not in _UNICAST or address.sixtofour or address.teredo or address.scope_id:
            # The latter embed an IPv4 address, which may be private.
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
