"""The cost of a guarded view beside a bare one, in each framework, in process.

Every pair leads to the same answer; the guarded view requires the agent of a session that the
process has seen before, and reads it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings as django_settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI
from flask import Flask

from auth_agent_django import requires_agent as django_requires_agent
from auth_agent_django.middleware import AuthAgentMiddleware as DjangoMiddleware
from auth_agent_flask import AuthAgent, current_agent, requires_agent
from auth_agent_starlette.fastapi import AuthAgentMiddleware, CurrentAgent
from benchmarks.measure import compare, compare_async, report
from benchmarks.signed_in_request import headers, request
from benchmarks.site import Site

REQUESTS = 5_000


def main() -> None:
    site = Site()
    cookie = site.cookie()
    sent = headers(cookie=cookie)
    bare, guarded = _fastapi(site)
    costs = asyncio.run(
        compare_async(
            {
                "bare FastAPI route": lambda: request(bare, sent),
                "CurrentAgent": lambda: request(guarded, sent),
            },
            REQUESTS,
        )
    )
    report("A guarded FastAPI route, in process", costs)
    for name, (plain, kept) in {"Flask": _flask(site), "Django": _django(site)}.items():
        cases = {f"bare {name} view": _calls(plain, cookie), "guarded": _calls(kept, cookie)}
        report(f"A guarded {name} view, in process", compare(cases, REQUESTS))


def _fastapi(site: Site) -> tuple[Any, Any]:
    bare, guarded = FastAPI(), FastAPI()
    guarded.add_middleware(AuthAgentMiddleware, relying_party=site.relying_party)

    @bare.get("/")
    async def plain() -> dict[str, bool]:
        return {"ok": True}

    @guarded.get("/")
    async def kept(agent: CurrentAgent) -> dict[str, bool]:
        return {"ok": agent.id is not None}

    return bare, guarded


def _flask(site: Site) -> tuple[Any, Any]:
    bare, guarded = Flask("bare"), Flask("guarded")
    AuthAgent(guarded, relying_party=site.relying_party)

    @bare.get("/")
    def plain() -> dict[str, bool]:
        return {"ok": True}

    @guarded.get("/")
    @requires_agent
    def kept() -> dict[str, bool]:
        return {"ok": current_agent.id is not None}

    return bare, guarded


class _Middleware(DjangoMiddleware):
    """Django makes its middleware itself, so the relying party is handed over here."""

    site: Site

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        super().__init__(get_response, self.site.relying_party)


def _plain(request: Any) -> JsonResponse:
    return JsonResponse({"ok": True})


@django_requires_agent
def _kept(request: Any) -> JsonResponse:
    return JsonResponse({"ok": request.agent.id is not None})


class _Urls:
    bare = (path("", _plain),)
    guarded = (path("", _kept),)


def _django(site: Site) -> tuple[Any, Any]:
    if not django_settings.configured:
        django_settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x" * 50, MIDDLEWARE=[])
        django.setup(set_prefix=False)
    _Middleware.site = site
    middleware = f"{__name__}._Middleware"
    with override_settings(MIDDLEWARE=[], ROOT_URLCONF=_Urls.bare):
        bare = get_wsgi_application()
    with override_settings(MIDDLEWARE=[middleware], ROOT_URLCONF=_Urls.guarded):
        guarded = get_wsgi_application()
    return _at(bare, _Urls.bare), _at(guarded, _Urls.guarded)


def _at(application: Any, urls: Any) -> Any:
    """Sets ROOT_URLCONF before each request, where Django reads it."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        django_settings.ROOT_URLCONF = urls
        return application(environ, start_response)

    return call


def _calls(application: Any, cookie: str) -> Callable[[], object]:
    def call() -> None:
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "",
            "SERVER_NAME": "shop.example", "SERVER_PORT": "443", "HTTP_HOST": "shop.example",
            "HTTP_ACCEPT": "application/json", "HTTP_COOKIE": cookie, "REMOTE_ADDR": "127.0.0.1",
            "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0), "wsgi.multithread": True,
            "wsgi.multiprocess": True, "wsgi.run_once": False,
        }  # fmt: skip
        answer = application(environ, lambda status, *_: statuses.append(status))
        b"".join(answer)
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        assert statuses == ["200 OK"]

    return call
