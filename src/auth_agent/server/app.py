"""The application: binds the rooms' routes to one server, and mounts them."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Parametrised

from auth_agent.flow.fetching.fetcher import Fetcher
from auth_agent.server.api import routes as api
from auth_agent.server.background import BackgroundWorker
from auth_agent.server.console.administrators.routes import CONSOLE
from auth_agent.server.console.owners.routes import OWNERS
from auth_agent.server.context import Clock, Context, build_context
from auth_agent.server.oauth import routes as oauth
from auth_agent.server.oauth.assembly import build_oauth
from auth_agent.server.outbound.outbox import Outbox
from auth_agent.server.settings import ServerSettings
from auth_agent.server.sign_in import routes as sign_in
from auth_agent.server.web.hosts import Hosts
from auth_agent.server.web.pages.refusals import not_served
from auth_agent.server.web.route import Route, S
from auth_agent.server.web.router import Resource, StaticRouter
from auth_agent.server.web.shell import EVERYWHERE, Endpoint, Surroundings


def create_app(
    settings: ServerSettings | None = None,
    *,
    clock: Clock = time.time,
    fetcher: Fetcher | None = None,
    outbox: Outbox | None = None,
) -> Starlette:
    """Returns the server as an ASGI application; without settings it reads the environment.

    Opens the database at once, so that a wrong setting or an unreadable key stops the start.
    `app.state.context` is shared by the handlers; its `close()` is called at shutdown. `fetcher`
    and `outbox` replace the server's own.
    """
    settings = settings or ServerSettings.from_env(os.environ)
    context = build_context(settings, clock, fetcher=fetcher, outbox=outbox)
    resources = _resources(context)
    # An address with a parameter, sent literally ("/agents/{id}"), is no static one.
    static = {path: resource for path, resource in resources.items() if "{" not in path}
    app = Starlette(
        routes=[
            Parametrised(path, resource)
            for path, resource in resources.items()
            if path not in static
        ],
        middleware=[Middleware(StaticRouter, resources=static)],
        lifespan=_lifespan,
        exception_handlers={HTTPException: _refuse},
    )
    # A redirect to the address with or without a slash would trust the Host header.
    app.router.redirect_slashes = False
    app.state.context = context
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    context: Context = app.state.context
    worker = BackgroundWorker(context)
    worker.start()
    try:
        yield
    finally:
        worker.close()
        context.close()


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    pages = request.app.state.context.pages
    answer = not_served(pages, error.status_code, request.headers.get("accept", ""))
    headers = {**dict(answer.headers), **EVERYWHERE}
    return Response(answer.body, answer.status, headers, answer.content_type)


def _resources(context: Context) -> dict[str, Resource]:
    """Returns every address with its endpoints."""
    resources: dict[str, Resource] = {}
    for path, endpoint in _endpoints(context):
        resources.setdefault(path, Resource(context.pages)).add(endpoint)
    return resources


def _hosts(settings: ServerSettings) -> Hosts | None:
    """Returns the hosts of a loopback server; None for others: TLS checks their names."""
    if not settings.is_loopback:
        return None
    return Hosts(urlsplit(settings.issuer).hostname or "", *settings.allowed_hosts)


def _endpoints(context: Context) -> Iterator[tuple[str, Endpoint]]:
    database, server = context.database, build_oauth(context)
    around = Surroundings(
        context.settings.max_body,
        context.proxies,
        context.origins,
        context.pages,
        _hosts(context.settings),
        database.at_once if database.is_quick else None,
    )

    def bound(routes: Iterable[Route[S]], subject: S) -> Iterator[Endpoint]:
        return (Endpoint(around, route, subject) for route in routes)

    endpoints = (
        *bound(sign_in.ROUTES, context),
        *bound(oauth.ROUTES, server),
        *bound(api.VERIFICATION, server),
        *bound(api.ROUTES, context),
        *bound((*CONSOLE, *OWNERS), context),
    )
    root = context.settings.path
    for endpoint in endpoints:
        yield endpoint.route.path, endpoint
        if root:
            # The paths without the prefix are for a proxy that strips it.
            yield root + endpoint.route.path, endpoint
    if root:
        inserted = (replace(route, path=route.path + root) for route in api.WELL_KNOWN)
        yield from ((endpoint.route.path, endpoint) for endpoint in bound(inserted, context))
