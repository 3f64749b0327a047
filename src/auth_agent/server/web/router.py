"""Finds the endpoint of a request: first by address, then by method."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from auth_agent.server.web.pages.refusals import not_served
from auth_agent.server.web.pages.render import Pages
from auth_agent.server.web.shell import Endpoint, send_answer


class Resource:
    """One address as an ASGI application: an endpoint for each of its methods."""

    def __init__(self, pages: Pages) -> None:
        self.methods: dict[str, Endpoint] = {}
        self._pages = pages

    def add(self, endpoint: Endpoint) -> None:
        """Adds the endpoint's method, HEAD beside GET, and OPTIONS for CORS."""
        route = endpoint.route
        self.methods[route.method] = endpoint
        if route.method == "GET" and route.head:
            self.methods.setdefault("HEAD", endpoint)
        if route.cors:
            self.methods.setdefault("OPTIONS", endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self.methods.get(scope["method"])
        if endpoint is not None:
            await endpoint(scope, receive, send)
            return
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        answer = not_served(self._pages, 405, accept.decode("latin-1"))
        allow = (("allow", ", ".join(self.methods)),)
        await send_answer(send, answer.with_headers(allow))


class StaticRouter:
    """The router of all addresses without parameters: one look-up for address, one for method.

    All other addresses go on to `app`.
    """

    def __init__(self, app: ASGIApp, resources: Mapping[str, Resource]) -> None:
        self._app = app
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            path = scope["path"]
            if root := scope.get("root_path"):  # set by a mount or a proxy; ASGI leaves it in path
                path = path[len(root) :] if path.startswith(f"{root}/") else path
            if (found := self._resources.get(path)) is not None:
                app = found.methods.get(scope["method"], found)
        await app(scope, receive, send)
