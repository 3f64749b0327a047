"""The proxy for a URL, according to HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

A request to a loopback host may be plain http and hold secrets, so it never uses a proxy.
"""

from __future__ import annotations

import ipaddress
import os
from typing import NamedTuple
from urllib.request import getproxies

from auth_agent.url import is_loopback

_SCHEMES = ("http", "https", "all")


class ProxySetting(NamedTuple):
    """A proxy's URL, which may hold a password, and the variable that sets it."""

    url: str
    variable: str

    def __repr__(self) -> str:
        return f"ProxySetting({self.variable})"


class Proxies:
    """The environment's proxies at the time of creation."""

    def __init__(self) -> None:
        found = getproxies()  # on macOS and Windows also the system's settings
        self._by_scheme = {
            scheme: ProxySetting(_with_scheme(found[scheme]), _variable(scheme))
            for scheme in _SCHEMES
            if found.get(scheme)
        }
        self._exceptions = tuple(
            entry.strip().lower() for entry in found.get("no", "").split(",") if entry.strip()
        )

    def proxy_for(self, scheme: str, host: str, port: int) -> ProxySetting | None:
        """Returns the proxy for a request, or None for a direct connection."""
        setting = self._by_scheme.get(scheme) or self._by_scheme.get("all")
        if setting is None or is_loopback(host):
            return None
        excepted = any(_matches(entry, host.lower(), port) for entry in self._exceptions)
        return None if excepted else setting


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"


def _variable(scheme: str) -> str:
    """Returns the name of the variable; `getproxies` prefers the one in lower case."""
    name = f"{scheme}_proxy"
    return next((text for text in (name, name.upper()) if os.environ.get(text)), name.upper())


def _matches(entry: str, host: str, port: int) -> bool:
    """Returns True if a NO_PROXY entry covers the host: a name with those below, or a network."""
    entry = entry.rpartition("://")[2]
    if entry == "*":
        return True
    name, colon, given = entry.rpartition(":")
    if colon and given.isdigit() and (":" not in name or name.startswith("[")):
        if int(given) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        name = entry.removeprefix("*").removeprefix(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
