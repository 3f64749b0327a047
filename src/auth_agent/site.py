"""What one website decides with: its settings and keys, its server, a clock and randomness."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import msgspec

from auth_agent.provider import Provider
from auth_agent.seal import Seal
from auth_agent.settings import Settings


class Site(msgspec.Struct, frozen=True):
    """Handed to every decision of the relying party. `clock` gives seconds since 1970."""

    settings: Settings
    seal: Seal
    provider: Provider
    clock: Callable[[], float]
    random: Callable[[int], bytes]

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> Site:
        context = (settings.issuer, settings.client_id, settings.base_url)
        seal = Seal(settings.secret, *context, random=random)
        return cls(settings, seal, Provider(settings.issuer, clock), clock, random)
