"""The example sites, each answer saying which worker it came from."""

from __future__ import annotations

import functools
import importlib
import os


def _load(target):
    module, _, name = target.partition(":")
    return functools.cache(lambda: getattr(importlib.import_module(module), name))


def _wsgi(target):
    load = _load(target)

    def application(environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Worker", str(os.getpid()))], exc_info)

        return load()(environ, start)

    return application


def _asgi(target):
    load = _load(target)

    async def application(scope, receive, send):
        async def note(message):
            if message["type"] == "http.response.start":
                worker = (b"x-worker", str(os.getpid()).encode())
                message = {**message, "headers": [*message["headers"], worker]}
            await send(message)

        await load()(scope, receive, note)

    return application


asgi = _asgi("examples.bare_site:asgi")
starlette = _asgi("examples.starlette_site:app")
fastapi = _asgi("examples.fastapi_site:app")
django_asgi = _asgi("examples.django_site.asgi:application")
wsgi = _wsgi("examples.bare_site:wsgi")
flask = _wsgi("examples.flask_site:app")
django_wsgi = _wsgi("examples.django_site.wsgi:application")
