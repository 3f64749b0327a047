"""The whole examination in order; checks that cannot run are left out and named."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from auth_agent.doctor.checks.api import examine_api
from auth_agent.doctor.checks.client import examine_client
from auth_agent.doctor.checks.configuration import examine_settings
from auth_agent.doctor.checks.server import examine_server
from auth_agent.doctor.checks.sessions import examine_sessions
from auth_agent.doctor.checks.signatures import examine_signatures
from auth_agent.doctor.checks.website import examine_website
from auth_agent.doctor.finding import Finding
from auth_agent.flow.effects import Flow
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Hooks, Site


def examine(
    settings: Settings,
    *,
    visited: str | None = None,
    proxy: str | None = None,
    clock: Callable[[], float] = time.time,
    random: Callable[[int], bytes] = os.urandom,
) -> Flow[list[Finding]]:
    """Examines a website in at most thirty exchanges, each with the transport's time-outs.

    `visited` is the origin at which visitors meet the website, if that is not its base URL; `proxy`
    is the proxy between this machine and the server.
    """
    site = Site.open(settings, Hooks(), clock=clock, random=random)
    found = list(examine_settings(settings))
    metadata, of_server = yield from examine_server(site, proxy)
    found += of_server
    found += yield from examine_signatures(settings)
    if not settings.sign_in:
        return [*found, *(yield from examine_api(settings, visited or settings.base_url))]
    if metadata is not None:
        found += yield from examine_client(site, metadata)
    found += yield from examine_website(settings, visited or settings.base_url, metadata)
    found.append((yield from examine_sessions(site)))
    return found
