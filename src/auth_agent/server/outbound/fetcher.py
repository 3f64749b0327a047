"""Fetches URLs that strangers choose, without reaching private networks.

https only, no redirect, no proxy from the environment, bounded in size and time. The name is
resolved once, every address it has must be public, and the connection goes to the address that was
checked. If the issuer is on loopback, loopback addresses are allowed, too.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent import futures
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

from auth_agent.errors import AuthError
from auth_agent.flow.clients import new_client
from auth_agent.flow.deadline import deadline, seconds_left
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.urls import url_problem
from auth_agent.url import is_loopback

LARGEST = 65_536  # bytes
DEADLINE = 10.0  # seconds, for everything together
AT_ONCE, LOGOUTS_AT_ONCE = 8, 4
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


class FetchRefused(Exception):
    """The address may not be fetched, or gave no proper answer; the message is for logs."""


class NoPlace(FetchRefused):
    """Too many fetches are running; this says nothing about the address."""


class Fetched(NamedTuple):
    """An answer with its body read in full."""

    status: int
    content_type: str
    body: bytes


class Fetcher:
    """Fetches for all threads, at most eight at once; the ninth is refused.

    Logouts have places of their own, so that strangers' fetches cannot delay them.
    """

    def __init__(
        self,
        *,
        loopback_allowed: bool = False,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loopback_allowed = loopback_allowed
        self._resolve = resolve or _addresses
        # The system's resolver has its own, longer time-outs.
        self._lookups = futures.ThreadPoolExecutor(LOOKUPS, "auth-agent-names")
        self._tls = tls
        self._client: httpx2.Client | None = None
        self._making = threading.Lock()
        self._looking: Counter[str] = Counter()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._places = {
            "GET": threading.BoundedSemaphore(AT_ONCE),
            "POST": threading.BoundedSemaphore(LOGOUTS_AT_ONCE),
        }

    def get(self, url: str) -> Fetched:
        return self._fetch("GET", url, None)

    def post_form(self, url: str, form: dict[str, str]) -> Fetched:
        return self._fetch("POST", url, form)

    def problem(self, url: str) -> str | None:
        """Returns the problem of such a URL before its name is looked up, or None."""
        if found := url_problem(url):
            return found
        if url.startswith("http://") and not self._loopback_allowed:
            return "is not https"
        return None

    def close(self) -> None:
        self._lookups.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _fetch(self, method: str, url: str, form: dict[str, str] | None) -> Fetched:
        or_wait()
        if found := self.problem(url):
            raise FetchRefused(f"the address {found}")
        places = self._places[method]
        if not places.acquire(blocking=False):
            raise NoPlace("too many fetches at once")
        try:
            with deadline(DEADLINE):
                return self._exchange(method, url, form)
        except (httpx2.HTTPError, httpx2.InvalidURL, AuthError, OSError, UnicodeError) as error:
            raise FetchRefused(type(error).__name__) from None
        finally:
            places.release()

    def _exchange(self, method: str, url: str, form: dict[str, str] | None) -> Fetched:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = self._checked(host, port)
        shown = f"[{address}]" if ":" in address else address
        target = parts._replace(netloc=f"{shown}:{port}").geturl()
        request = self._http().build_request(
            method,
            target,
            data=form,
            headers={"host": parts.netloc, "accept": "application/json", "accept-encoding": ""},
            # The certificate has to match the name.
            extensions={"sni_hostname": host},
        )
        answer = self._http().send(request, stream=True)
        try:
            return Fetched(
                answer.status_code, answer.headers.get("content-type", ""), _read(answer)
            )
        finally:
            answer.close()

    def _checked(self, host: str, port: int) -> str:
        addresses = self._look_up(host, port)
        if not addresses:
            raise FetchRefused("the name has no address")
        for address in addresses:
            # One private address is enough to distrust the name.
            if not self._is_allowed(address):
                raise FetchRefused("the name leads to an address that is not public")
        return addresses[0]

    def _look_up(self, host: str, port: int) -> list[str]:
        """Returns the addresses of a name; a domain with hanging look-ups gets no more threads."""
        domain = _domain_of(host)
        with self._making:
            if self._failed.get(host, 0.0) > time.monotonic():
                raise FetchRefused("the name could not be looked up a moment ago")
            if self._looking[domain] >= LOOKUPS_OF_ONE:
                raise FetchRefused("the name service of this domain does not answer")
            self._looking[domain] += 1
        running = self._lookups.submit(self._resolve, host, port)
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

    def _has_failed(self, host: str) -> None:
        with self._making:
            self._failed[host] = time.monotonic() + FAILED_FOR
            self._failed.move_to_end(host)
            while len(self._failed) > MOST_FAILED:
                self._failed.popitem(last=False)

    def _looked_up(self, domain: str) -> None:
        with self._making:
            self._looking[domain] -= 1
            if not self._looking[domain]:
                del self._looking[domain]

    def _is_allowed(self, text: str) -> bool:
        return is_public(text) or (self._loopback_allowed and is_loopback(text))

    def _http(self) -> httpx2.Client:
        with self._making:
            if self._client is None:
                self._client = new_client(
                    tls=self._tls,
                    use_environment=False,
                    max_kept=0,  # a kept connection was checked for another name
                    follow_redirects=False,
                    timeout=httpx2.Timeout(5.0),
                )
            return self._client


def _domain_of(host: str) -> str:
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


def _read(answer: Any) -> bytes:
    chunks, size = [], 0
    for chunk in answer.iter_raw():
        size += len(chunk)
        if size > LARGEST:
            raise FetchRefused("the answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)
