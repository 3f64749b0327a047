"""Fetches URLs that strangers choose, without reaching private networks.

https only, no redirect, no proxy from the environment, bounded in size and time. The name is
resolved once, every address it has must be public, and the connection goes to the address that was
checked. A website or server that is on loopback itself may reach loopback addresses, too.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2

from auth_agent.errors import AuthError
from auth_agent.flow.connections.breaker import Breaker
from auth_agent.flow.connections.clients import new_client
from auth_agent.flow.connections.deadline import deadline
from auth_agent.flow.fetching.addresses import Lookups, Resolve, is_public
from auth_agent.flow.fetching.rate import Rate
from auth_agent.flow.fetching.refusals import FetchRefused, NoPlace
from auth_agent.url import is_loopback, url_problem

LARGEST = 65_536  # bytes
DEADLINE = 10.0  # seconds, for everything together
CONNECT_SECONDS = 5.0
AT_ONCE, LOGOUTS_AT_ONCE = 8, 4
# Kept for the renewal of documents that were fetched before: places, and a part of each minute.
SPARE_PLACES, SPARE_PART = 2, 3


class Fetched(NamedTuple):
    """An answer with its body read in full; header names are in lower case."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = {}


class Fetcher:
    """Fetches for all threads, at most eight at once; the ninth is refused.

    Logouts have places of their own, so that strangers' fetches cannot delay them. Where hosts are
    counted (`per_minute`), fetches of new addresses leave some for renewals, so that no flood of
    them keeps a removed key alive. `before` is called first: it may refuse to wait in this thread.
    A host that did not answer in time is left alone for some seconds.
    """

    def __init__(
        self,
        *,
        loopback_allowed: bool = False,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        before: Callable[[], None] = lambda: None,
        per_minute: int | None = None,
    ) -> None:
        self._loopback_allowed = loopback_allowed
        self._lookups = Lookups(resolve)
        self._tls = tls
        self._before = before
        self._rate = Rate(per_minute) if per_minute is not None else None
        self._spare = (per_minute or 0) // SPARE_PART
        self._new = threading.BoundedSemaphore(AT_ONCE - SPARE_PLACES)
        self._breaker = Breaker()
        self._client: httpx2.Client | None = None
        self._making = threading.Lock()
        self._places = {
            "GET": threading.BoundedSemaphore(AT_ONCE),
            "POST": threading.BoundedSemaphore(LOGOUTS_AT_ONCE),
        }

    def get(self, url: str, accept: str = "application/json", *, renews: bool = False) -> Fetched:
        """Fetches a document; `renews` tells that it was fetched before."""
        if self._rate is None or renews:
            return self._fetch("GET", url, None, accept)
        if not self._new.acquire(blocking=False):
            raise NoPlace("too many fetches of new addresses at once")
        try:
            return self._fetch("GET", url, None, accept, spare=self._spare)
        finally:
            self._new.release()

    def post_form(self, url: str, form: dict[str, str]) -> Fetched:
        return self._fetch("POST", url, form, "application/json")

    def problem(self, url: str) -> str | None:
        """Returns the problem of such a URL before its name is looked up, or None."""
        if found := url_problem(url, query=True):
            return found
        if url.startswith("http://") and not self._loopback_allowed:
            return "is not https"
        return None

    def close(self) -> None:
        self._lookups.close()
        if self._client is not None:
            self._client.close()

    def _fetch(
        self, method: str, url: str, form: dict[str, str] | None, accept: str, *, spare: int = 0
    ) -> Fetched:
        self._before()
        if found := self.problem(url):
            raise FetchRefused(f"the address {found}")
        host = urlsplit(url).netloc.lower()
        if self._rate is not None and not self._rate.take(_counted_as(url), spare=spare):
            raise NoPlace("too many requests went to this host in the last minute")
        places = self._places[method]
        if not places.acquire(blocking=False):
            raise NoPlace("too many fetches at once")
        try:
            paused = FetchRefused("the host did not answer in time a moment ago")
            with self._breaker.watch(f"{method} {host}", paused), deadline(DEADLINE):
                return self._exchange(method, url, form, accept)
        except (httpx2.HTTPError, httpx2.InvalidURL, AuthError, OSError, UnicodeError) as error:
            raise FetchRefused(type(error).__name__) from None
        finally:
            places.release()

    def _exchange(self, method: str, url: str, form: dict[str, str] | None, accept: str) -> Fetched:
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
            headers={"host": parts.netloc, "accept": accept, "accept-encoding": "identity"},
            # The certificate has to match the name.
            extensions={"sni_hostname": host},
        )
        try:
            answer = self._http().send(request, stream=True)
            try:
                return _fetched(answer)
            finally:
                answer.close()
        except httpx2.TimeoutException as error:  # for the breaker
            raise TimeoutError(str(error)) from error

    def _checked(self, host: str, port: int) -> str:
        addresses = self._lookups.look_up(host, port)
        if not addresses:
            raise FetchRefused("the name has no address")
        for address in addresses:
            # One private address is enough to distrust the name.
            if not self._is_allowed(address):
                raise FetchRefused("the name has an address that is not public")
        return addresses[0]

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
                    timeout=httpx2.Timeout(CONNECT_SECONDS),
                )
            return self._client


def _counted_as(url: str) -> str:
    """Returns the host without its port: else each of its ports could be asked as often again."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.netloc if is_loopback(host) else host


def _fetched(answer: Any) -> Fetched:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Fetched(answer.status_code, headers.get("content-type", ""), _read(answer), headers)


def _read(answer: Any) -> bytes:
    chunks, size = [], 0
    for chunk in answer.iter_raw():
        size += len(chunk)
        if size > LARGEST:
            raise FetchRefused("the answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)
