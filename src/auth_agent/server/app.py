"""The application: which address leads to which handler."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from auth_agent.server.api import admin as admin_endpoints
from auth_agent.server.api import discovery, metrics, openapi
from auth_agent.server.api import older as older_endpoints
from auth_agent.server.api import registration as registration_endpoints
from auth_agent.server.api import verification as verification_endpoints
from auth_agent.server.background import BackgroundWorker
from auth_agent.server.console.owners.pages import OWNERS
from auth_agent.server.console.routes import CONSOLE
from auth_agent.server.context import Clock, Context, build_context
from auth_agent.server.oauth import endpoints as website_endpoints
from auth_agent.server.oauth.assembly import build_oauth
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.settings import ServerSettings
from auth_agent.server.sign_in import agent as agent_endpoints
from auth_agent.server.sign_in import browser as browser_endpoints
from auth_agent.server.web.call import Answer, Call
from auth_agent.server.web.shell import Endpoint, Surroundings

PAGES = (*CONSOLE, *OWNERS)
# What is done in a fraction of a millisecond, unless it has to wait for something.
_QUICK = {
    browser_endpoints.authorize,
    browser_endpoints.check_status,
    agent_endpoints.authenticate,
    agent_endpoints.describe_request,
    website_endpoints.token,
    website_endpoints.userinfo,
    website_endpoints.introspect,
    website_endpoints.revoke,
    discovery.jwks,
    discovery.server_metadata,
    discovery.health,
}
# Whoever only looks whether a link is good must neither open a request nor be its browser.
_LEAVE_A_MARK = {browser_endpoints.authorize, browser_endpoints.open_challenge}
_EVERYWHERE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
_WELL_KNOWN = ("oauth-authorization-server", "openid-configuration")


def create_app(settings: ServerSettings | None = None, *, clock: Clock = time.time) -> Starlette:
    """The server as an ASGI application; without settings it reads the environment.

    Opens the database at once, so that a wrong setting or an unreadable key stops the start.
    `app.state.context` is what the handlers share; its `close()` is called at shutdown.
    """
    # Authlib logs whole token answers at DEBUG.
    logging.getLogger("authlib").setLevel(logging.INFO)
    context = build_context(settings or ServerSettings.from_env(os.environ), clock)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        worker = BackgroundWorker(context)
        worker.start()
        try:
            yield
        finally:
            worker.close()
            context.close()

    routes = _routes(context)
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_Shortcut, routes=routes)],
        lifespan=lifespan,
        exception_handlers={HTTPException: functools.partial(_http_error, context)},
    )
    # A redirect to the address with or without a slash would trust the Host header.
    app.router.redirect_slashes = False
    app.state.context = context
    return app


class _Shortcut:
    """Finds an address without parameters by one look into a dict; all others take the search.

    Below a root path, as a mount or a proxy sets one, everything is left to the search.
    """

    def __init__(self, app: ASGIApp, routes: list[BaseRoute]) -> None:
        self._app = app
        self._endpoints = {
            (method, route.path): route.endpoint
            for route in routes
            if isinstance(route, Route) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None
        if scope["type"] == "http" and not scope.get("root_path"):
            found = self._endpoints.get((scope["method"], scope["path"]))
        await (found or self._app)(scope, receive, send)


def _routes(context: Context) -> list[BaseRoute]:
    routes = _endpoints(context, build_oauth(context))
    path = context.settings.path
    if not path:
        return routes
    # RFC 8414 section 3.1 puts the well-known part before the issuer's path. The rest lies under
    # that path, and at the root for a proxy that takes the path away.
    inserted = [
        _route(context, f"/.well-known/{name}{path}", discovery.server_metadata, cors="any")
        for name in _WELL_KNOWN
    ]
    return [*inserted, *routes, Mount(path, routes=routes)]


def _endpoints(context: Context, oauth: OAuthServer) -> list[BaseRoute]:
    """The busiest first."""
    route, post, both = _route, ["POST"], ["GET", "POST"]
    return [
        route(context, "/api/check-status", browser_endpoints.check_status),
        route(context, "/authorize", browser_endpoints.authorize),
        route(context, "/api/agent/authenticate", agent_endpoints.authenticate, post),
        route(context, "/api/agent/verify-2fa", agent_endpoints.verify_second_factor, post),
        route(context, "/token", website_endpoints.token, post, of=oauth, cors="registered"),
        route(context, "/userinfo", website_endpoints.userinfo, both, cors="registered"),
        route(context, "/introspect", website_endpoints.introspect, post, of=oauth),
        route(context, "/revoke", website_endpoints.revoke, post, of=oauth),
        route(context, "/api/auth-requests/{request_id}", agent_endpoints.describe_request),
        route(context, "/authorize/continue", browser_endpoints.continue_sign_in),
        route(context, "/authorize/cancel", browser_endpoints.cancel, post),
        route(context, "/authorize/challenge", browser_endpoints.open_challenge),
        *_older(context, oauth),
        *_administration(context),
        route(context, "/.well-known/jwks.json", discovery.jwks, cors="any"),
        *(
            route(context, f"/.well-known/{name}", discovery.server_metadata, cors="any")
            for name in _WELL_KNOWN
        ),
        route(context, "/static/{name}", discovery.static),
        route(context, "/openapi.json", openapi.openapi),
        route(context, "/health", discovery.health),
        route(context, "/api/health", discovery.health),
        route(context, "/ready", discovery.ready),
        route(context, "/metrics", metrics.metrics),
        route(context, "/", discovery.front_page),
        *(route(context, each.path, each.handler, [each.method]) for each in PAGES),
    ]


def _older(context: Context, oauth: OAuthServer) -> list[BaseRoute]:
    """The older generation, and what it added."""
    route, post, both = _route, ["POST"], ["GET", "POST"]
    return [
        route(context, "/oauth2/authorize", browser_endpoints.authorize),
        route(context, "/oauth2/token", website_endpoints.token, post, of=oauth, cors="registered"),
        route(context, "/oauth2/userinfo", website_endpoints.userinfo, both, cors="registered"),
        route(context, "/api/register-agent", registration_endpoints.register_agent, post),
        route(context, "/api/agent-auth", older_endpoints.agent_auth, post),
        route(context, "/api/agents/profile", older_endpoints.profile, ["GET", "PUT"]),
        route(context, "/api/events", older_endpoints.events, post),
        route(context, "/api/verify/challenge", verification_endpoints.challenge, post, of=oauth),
        route(context, "/api/verify/confirm", verification_endpoints.confirm, post),
        route(context, "/api/verify/status", verification_endpoints.status, of=oauth),
    ]


def _administration(context: Context) -> list[BaseRoute]:
    route, many, one = _route, ["GET", "POST"], ["GET", "PATCH", "DELETE"]
    return [
        route(context, "/register", registration_endpoints.register_client, ["POST"]),
        route(context, "/api/admin/agents", admin_endpoints.agents, many),
        route(context, "/api/admin/agents/{id}", admin_endpoints.agent, one),
        route(context, "/api/admin/clients", admin_endpoints.clients, many),
        route(context, "/api/admin/clients/{id:path}", admin_endpoints.client, one),
    ]


def _route(
    context: Context,
    path: str,
    handler: Callable[[Any, Call], Answer],
    methods: list[str] | None = None,
    *,
    cors: str = "",
    of: OAuthServer | None = None,
) -> Route:
    allowed = [*(methods or ["GET"]), *(["OPTIONS"] if cors else [])]
    database = context.database
    around = Surroundings(
        context.settings.max_body,
        context.proxies,
        context.origins,
        database.at_once if database.is_quick else None,
    )
    respond = functools.partial(handler, of or context)
    endpoint = Endpoint(around, respond, handler.__name__, cors, is_quick=handler in _QUICK)
    route = Route(path, endpoint, methods=allowed, name=handler.__name__)
    if handler in _LEAVE_A_MARK and route.methods:
        route.methods.discard("HEAD")
    return route


async def _http_error(context: Context, request: Request, error: Exception) -> Response:
    """A page for browsers, JSON for programs."""
    if not isinstance(error, HTTPException):
        raise error
    code, title, text = {
        404: ("not_found", "Not found", "There is nothing at this address"),
        405: ("method_not_allowed", "Not so", "This address does not take this method"),
    }.get(error.status_code, ("invalid_request", "Not so", "The request cannot be served"))
    headers = {**_EVERYWHERE, **(error.headers or {})}
    if "text/html" in request.headers.get("accept", ""):
        page = context.pages.error(title, f"{text}.", error.status_code)
        headers |= dict(page.headers)
        return Response(page.body, page.status, headers, page.content_type)
    return JSONResponse({"error": code, "error_description": text}, error.status_code, headers)
