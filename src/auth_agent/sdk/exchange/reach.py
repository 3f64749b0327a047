"""Keeps a website from sending the agent to hosts inside of the agent's own network."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from auth_agent.errors import AuthError
from auth_agent.sdk.flow.effects import Flow, resolve_host
from auth_agent.url import is_loopback, normal_origin

# Ranges for the public internet; site-local, NAT64 and 6to4 lie outside.
_PUBLIC = ipaddress.ip_network("2000::/3")
_6TO4 = ipaddress.ip_network("2002::/16")


def check_reach(target: str, website: str) -> Flow[None]:
    """Raises `insecure_url` if `target` is an inside host and the website is not one itself.

    A name counts as inside if any of its addresses does. Later DNS changes do not help an
    attacker: an inside host has no certificate for a public name, and http is for loopback only.
    """
    host, own = urlsplit(target).hostname or "", urlsplit(website).hostname or ""
    if is_loopback(host):
        is_allowed = is_loopback(own)
    else:
        is_allowed = not (yield from _is_inside(host)) or (yield from _is_inside(own))
    if not is_allowed:
        raise AuthError(
            f"{website} redirects to {normal_origin(target)}, a host inside of this machine's "
            "network. Nothing was sent there. If that is the website you mean, give its own URL.",
            code="insecure_url",
        )


def _is_inside(host: str) -> Flow[bool]:
    if is_loopback(host):
        return True
    try:
        return _is_inside_address(host)
    except ValueError:
        addresses = yield from resolve_host(host)
    return any(_is_inside_address(address) for address in addresses)


def _is_inside_address(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_inside_address(str(address.ipv4_mapped))
        if address not in _PUBLIC or address in _6TO4:
            return True
    return not address.is_global or address.is_multicast
