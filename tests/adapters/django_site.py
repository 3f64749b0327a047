"""The small site of `stacks` in Django, under WSGI and ASGI.

Django's settings belong to the process, so they are made once, here. `AUTH_AGENT` is read when a
handler is built: each handler has a relying party of its own.
"""

from __future__ import annotations

import sqlite3

import django
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import connections
from django.db.transaction import non_atomic_requests
from django.http import HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path, re_path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from auth_agent.flow import drive
from auth_agent_django import requires_agent

DATABASE = "file:django?mode=memory&cache=shared"  # one for all threads
PUBLIC_CACHE = "public, max-age=60"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "auth_agent_django.AuthAgentMiddleware",
]

django_settings.configure(
    ALLOWED_HOSTS=["*"],
    AUTHENTICATION_BACKENDS=[
        "django.contrib.auth.backends.ModelBackend",
        "auth_agent_django.accounts.backend.AuthAgentBackend",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATABASE,
            "ATOMIC_REQUESTS": True,
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "auth_agent_django",
        "auth_agent_django.accounts",
    ],
    MIDDLEWARE=MIDDLEWARE,
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF="tests.adapters.django_site",
    SECRET_KEY="django's own secret, which is not ours",
    STATIC_URL="/static-files/",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    USE_TZ=True,
)
django.setup()

_kept = sqlite3.connect(DATABASE, uri=True)  # the database is there as long as somebody holds it


def close_databases(**_):
    """Closes the connection that Django leaves open, a warning once its thread has ended."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            connection.connection.close()
            connection.connection = None


request_finished.connect(close_databases)


def describe(agent):
    return {"agent_id": agent.id if agent else None, "via": agent.via if agent else None}


def cached(request):
    wish = request.headers.get("cache-wish")
    return {"Cache-Control": PUBLIC_CACHE, **({wish: "max-age=600"} if wish else {})}


def home(request):
    return JsonResponse(describe(request.agent), headers=cached(request))


@non_atomic_requests
async def static(request):
    return JsonResponse({}, headers=cached(request))


def page(request):
    return HttpResponse("<p>shop</p>", headers={"Link": '</style.css>; rel="preload"'})


@non_atomic_requests
@requires_agent
async def me(request):
    return JsonResponse(describe(request.agent))


me.csrf_exempt = True  # our own guard is what the rows look at


@method_decorator(requires_agent(scopes=["reports:read"]), name="dispatch")
class Reports(View):
    def get(self, request):
        return JsonResponse({})


def private(request, rest):
    return JsonResponse({"report": 42})


@csrf_exempt
def echo(request):
    return HttpResponse(request.body)


urlpatterns = [
    path("", home),
    path("static", static),
    path("page", page),
    path("me", me),
    path("reports", Reports.as_view()),
    re_path("^private/(.*)$", private),
    path("echo", echo),
]


def configured(settings, **own):
    """Applies the website's settings while its handler is built."""
    values = {name.upper(): getattr(settings, name) for name in settings.__struct_fields__}
    return override_settings(AUTH_AGENT={**values, **own})


def build_wsgi(settings, **own):
    with configured(settings, **own):
        return WSGIHandler()


def build_asgi(settings, **own):
    """Answers the lifespan, which Django refuses and the tests use to close their resources."""
    with configured(settings, **own):
        handler = ASGIHandler()

    async def app(scope, receive, send):
        if scope["type"] != "lifespan":
            await handler(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await drive.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    return app
