"""The dependencies of one website: its settings and keys, its server, a clock and randomness."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from auth_agent.errors import AuthError
from auth_agent.protocol.client_auth import Credentials
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.metadata import Metadata
from auth_agent.protocol.provider import Provider
from auth_agent.website.agent import Agent
from auth_agent.website.config.seal import Seal
from auth_agent.website.config.settings import Settings


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """Functions of the website, sync or (under ASGI) async.

    `on_sign_in(agent)` may return the website's own account id, which stays in the session as
    `agent.account_id`, and may raise `SignInRefused`. `on_refused(error)` is called after a failed
    sign-in, `on_sign_out(agent)` after a sign-out. `is_welcome(agent)` is called at every request
    with an agent; unless it returns True, the agent counts as signed out.

    `accounts` names the accounts whose ids `on_sign_in` returns. A session with an account id is
    valid only while this name stays the same, so that an id never means another kind of account.

    `render_page(page)`, always sync, returns the HTML of a page that the middleware shows, or None
    for the built-in one.
    """

    on_sign_in: Callable[[Agent], Any] | None = None
    on_refused: Callable[[AuthError], Any] | None = None
    on_sign_out: Callable[[Agent], Any] | None = None
    is_welcome: Callable[[Agent], Any] | None = None
    accounts: str | None = None
    render_page: Callable[[Any], Any] | None = None


def name_accounts(hook: Callable[..., Any] | None, name: str | None) -> str | None:
    """Returns a short digest of the name, or else of the hook's own name; None without a hook."""
    if hook is None:
        return None
    digest = hashlib.sha256((name or name_of(hook)).encode()).digest()
    return encode(digest[:9])


def name_of(hook: Any) -> str:
    """Returns a name that is the same in every process, with the arguments of a `partial`."""
    hook = inspect.unwrap(hook)
    if isinstance(hook, functools.partial):
        held = (*hook.args, *hook.keywords.values())
        parts = [value if isinstance(value, str) else name_of(value) for value in held]
        return f"{name_of(hook.func)}({', '.join(parts)})"
    named = hook if hasattr(hook, "__qualname__") else type(hook)
    return f"{named.__module__}.{named.__qualname__}"


class Site(msgspec.Struct, frozen=True):
    """The argument of every decision of the relying party.

    `clock` gives seconds since 1970; `ticks` gives seconds for ages, also if this machine's date is
    corrected.
    """

    settings: Settings
    seal: Seal
    provider: Provider
    clock: Callable[[], float]
    ticks: Callable[[], float]
    random: Callable[[int], bytes]
    hooks: Hooks

    def credentials(self, metadata: Metadata) -> Credentials:
        """Returns credentials for one request to the server."""
        return Credentials(self.settings.client, metadata, self.clock(), encode(self.random(16)))

    @classmethod
    def open(
        cls,
        settings: Settings,
        hooks: Hooks,
        *,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> Site:
        context = (settings.issuer, settings.client_id, settings.base_url)
        ticks = time.monotonic if clock is time.time else clock
        provider = Provider(settings.issuer, ticks, needs_keys=settings.identity == "id_token")
        seal = Seal(settings.secret, *context, random=random)
        return cls(settings, seal, provider, clock, ticks, random, hooks)
