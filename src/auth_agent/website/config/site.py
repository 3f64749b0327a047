"""What one website decides with: its settings and keys, its server, a clock and randomness."""

from __future__ import annotations

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
    `agent.account_id`, and may raise `SignInRefused`. `on_refused(error)` hears of a sign-in that
    failed, `on_sign_out(agent)` of one that ended. `is_welcome(agent)` is asked at every request
    that brings an agent; where it does not say True the agent has no place here.
    """

    on_sign_in: Callable[[Agent], Any] | None = None
    on_refused: Callable[[AuthError], Any] | None = None
    on_sign_out: Callable[[Agent], Any] | None = None
    is_welcome: Callable[[Agent], Any] | None = None


class Site(msgspec.Struct, frozen=True):
    """Handed to every decision of the relying party. `clock` gives seconds since 1970."""

    settings: Settings
    seal: Seal
    provider: Provider
    clock: Callable[[], float]
    random: Callable[[int], bytes]
    hooks: Hooks

    def credentials(self, metadata: Metadata) -> Credentials:
        """For one request to the server."""
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
        provider = Provider(settings.issuer, clock, needs_keys=settings.identity == "id_token")
        seal = Seal(settings.secret, *context, random=random)
        return cls(settings, seal, provider, clock, random, hooks)
