"""The example sites, each answer saying which worker it came from."""

from __future__ import annotations

import os


def flask(environ, start_response):
    from examples.flask_site import app

    def start(status, headers, exc_info=None):
        return start_response(status, [*headers, ("X-Worker", str(os.getpid()))], exc_info)

    return app(environ, start)


async def fastapi(scope, receive, send):
    from examples.fastapi_site import app

    async def note(message):
        if message["type"] == "http.response.start":
            worker = (b"x-worker", str(os.getpid()).encode())
            message = {**message, "headers": [*message["headers"], worker]}
        await send(message)

    await app(scope, receive, note)


def django_wsgi(environ, start_response):
    from examples.django_site.wsgi import application

    def start(status, headers, exc_info=None):
        return start_response(status, [*headers, ("X-Worker", str(os.getpid()))], exc_info)

    return application(environ, start)


async def django_asgi(scope, receive, send):
    from examples.django_site.asgi import application

    async def note(message):
        if message["type"] == "http.response.start":
            worker = (b"x-worker", str(os.getpid()).encode())
            message = {**message, "headers": [*message["headers"], worker]}
        await send(message)

    await application(scope, receive, note)
