"""The same small site on every stack.

`/` is public and reads the agent, `/static` and `/page` are public and do not, `/me` needs one,
`/reports` needs a scope, `/private/report` is guarded by configuration alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI
from flask import Flask, jsonify, request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth_agent import Agent, Requirement
from auth_agent import asgi as bare_asgi
from auth_agent import wsgi as bare_wsgi
from auth_agent_flask import AuthAgent, current_agent
from auth_agent_flask import requires_agent as flask_requires_agent
from auth_agent_starlette import AuthAgentMiddleware, requires_agent
from auth_agent_starlette.fastapi import CurrentAgent, OptionalAgent, agent_with
from tests.adapters import django_site
from tests.adapters.network import serve_asgi, serve_wsgi

PUBLIC_CACHE = "public, max-age=60"
PAGE_HEADERS = {"Content-Type": "text/html; charset=utf-8", "Link": '</style.css>; rel="preload"'}


class Stack(NamedTuple):
    build: Callable[[Any], Any]
    serve: Callable[[Any, int], AbstractContextManager[None]]


def cached(wish):
    """Returns the headers of a public answer; `wish` is one more that tells caches to store it."""
    return {"Cache-Control": PUBLIC_CACHE, **({wish: "max-age=600"} if wish else {})}


def describe(agent):
    return {"agent_id": agent.id if agent else None, "via": agent.via if agent else None}


def build_starlette(settings):
    async def home(request):
        headers = cached(request.headers.get("cache-wish"))
        return JSONResponse(describe(request.state.agent), headers=headers)

    async def static(request):
        return JSONResponse({}, headers=cached(request.headers.get("cache-wish")))

    async def page(request):
        return Response(b"<p>A page", headers=PAGE_HEADERS)

    @requires_agent
    async def me(request):
        return JSONResponse(describe(request.state.agent))

    @requires_agent(scopes=["reports:read"])
    def reports(request):
        return JSONResponse({})

    async def private(request):
        return JSONResponse({"report": 42})

    async def echo(request):
        return Response(await request.body())

    routes = [
        Route("/", home),
        Route("/static", static),
        Route("/page", page),
        Route("/me", me, methods=["GET", "POST"]),
        Route("/reports", reports),
        Route("/private/{rest:path}", private, methods=["GET", "POST", "OPTIONS"]),
        Route("/echo", echo, methods=["POST"]),
    ]
    middleware = Middleware(AuthAgentMiddleware, settings)
    return Starlette(routes=routes, middleware=[middleware])


def build_fastapi(settings):
    app = FastAPI()
    app.add_middleware(AuthAgentMiddleware, settings)

    @app.get("/")
    async def home(request: Request, agent: OptionalAgent):
        return JSONResponse(describe(agent), headers=cached(request.headers.get("cache-wish")))

    @app.get("/static")
    async def static(request: Request):
        return JSONResponse({}, headers=cached(request.headers.get("cache-wish")))

    @app.get("/page")
    async def page():
        return Response(b"<p>A page", headers=PAGE_HEADERS)

    @app.api_route("/me", methods=["GET", "POST"])
    async def me(agent: CurrentAgent):
        return describe(agent)

    @app.get("/reports")
    def reports(agent: Annotated[Agent, agent_with(scopes=["reports:read"])]):
        return {}

    @app.api_route("/private/{rest:path}", methods=["GET", "HEAD", "POST", "OPTIONS"])
    async def private(rest: str):
        return {"report": 42}

    @app.post("/echo")
    async def echo(request: Request):
        return Response(await request.body())

    return app


def build_flask(settings):
    app = Flask(__name__, static_folder=None)
    AuthAgent(app, settings)

    @app.get("/")
    def home():
        return describe(current_agent), cached(request.headers.get("cache-wish"))

    @app.get("/static")
    def static():
        return {}, cached(request.headers.get("cache-wish"))

    @app.get("/page")
    def page():
        return b"<p>A page", PAGE_HEADERS

    @app.route("/me", methods=["GET", "POST"])
    @flask_requires_agent
    def me():
        return describe(current_agent)

    @app.get("/reports")
    @flask_requires_agent(scopes=["reports:read"])
    async def reports():
        return {}

    @app.route("/private/<path:rest>", methods=["GET", "POST", "OPTIONS"])
    def private(rest):
        return jsonify(report=42)

    @app.post("/echo")
    def echo():
        return request.get_data()

    return app


def build_asgi(settings):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, headers, content = answer(scope, scope["path"], bare_asgi.agent_of, body)
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    return bare_asgi.AuthAgentMiddleware(app, settings)


def build_wsgi(settings):
    def app(environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        status, headers, content = answer(environ, environ["PATH_INFO"], bare_wsgi.agent_of, body)
        headers = [*headers, ("Content-Length", str(len(content)))]
        start_response(f"{status} Any", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]

    return bare_wsgi.AuthAgentMiddleware(app, settings)


def answer(request, path, agent_of, body):
    """Answers as a site without a framework."""
    entry = request["auth_agent.entry"]
    needs = {"/me": Requirement(), "/reports": Requirement(scopes=["reports:read"])}
    if path in needs:
        refusal = entry.require(needs[path])
        if refusal is not None:
            headers = [pair for pair in refusal.header_list() if pair[0] != "Content-Length"]
            return refusal.status, headers, refusal.body
    if path == "/page":
        return 200, list(PAGE_HEADERS.items()), b"<p>A page"
    if path == "/echo":
        return 200, [("Content-Type", "application/octet-stream")], body
    content = {"/private/report": {"report": 42}}
    if path == "/":
        content[path] = describe(agent_of(request))
    if path == "/me":
        content[path] = describe(request["auth_agent"])
    headers = [("Content-Type", "application/json")]
    if path in ("/", "/static"):
        headers += cached(entry.visit.header("cache-wish")).items()
    return 200, headers, json.dumps(content.get(path, {})).encode()


STACKS = {
    "asgi": Stack(build_asgi, serve_asgi),
    "wsgi": Stack(build_wsgi, serve_wsgi),
    "starlette": Stack(build_starlette, serve_asgi),
    "fastapi": Stack(build_fastapi, serve_asgi),
    "flask": Stack(build_flask, serve_wsgi),
    "django-wsgi": Stack(django_site.build_wsgi, serve_wsgi),
    "django-asgi": Stack(django_site.build_asgi, serve_asgi),
}
