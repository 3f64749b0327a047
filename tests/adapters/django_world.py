"""Django's own test client in front of a website, under WSGI and ASGI alike."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal
from django.core.management import call_command
from django.test import AsyncClient, Client, override_settings

from auth_agent.flow import drive
from tests.adapters import django_site

BASE_URL = "http://localhost"
JSON = {"HTTP_ACCEPT": "application/json"}
PAGE = {"HTTP_ACCEPT": "text/html"}


class Shopper:
    """An agent's client, which keeps cookies; the same to use in both colours."""

    def __init__(self, client, provider, portal=None):
        self.client = client
        self.provider = provider
        self._portal = portal

    def get(self, path, data=None, **headers):
        return self._ask(self.client.get, path, data, **headers)

    def post(self, path, data=None, **headers):
        return self._ask(self.client.post, path, data, **headers)

    def options(self, path, **headers):
        return self._ask(self.client.options, path, "", **headers)

    def _ask(self, method, path, data, **headers):
        if self._portal is None:
            return method(path, data, **headers)
        named = {name[5:].replace("_", "-"): value for name, value in headers.items()}
        return self._portal.call(partial(method, path, data, headers=named))

    def sign_in(self, next_path="/", *, agent=None):
        begun = self.get("/auth-agent/login", {"next": next_path})
        assert begun.status_code == 303, begun.content
        back = urlsplit(self.provider.approve(begun["Location"], agent=agent))
        return self.get(f"{back.path}?{back.query}", **JSON)


@contextmanager
def open_shopper(colour, provider, *, urls=None, middleware=None, **auth_agent):
    """Opens a website with its own `AUTH_AGENT` settings, URLs and middleware."""
    settings = {
        "ISSUER": provider.issuer,
        "CLIENT_ID": provider.client_id,
        "CLIENT_SECRET": provider.client_secret,
        "SECRET": "a secret of the website that is long enough",
        "BASE_URL": BASE_URL,
        "PROTECT": "/private/*",
        **auth_agent,
    }
    overrides = {"AUTH_AGENT": settings, "ROOT_URLCONF": urls or django_site.__name__}
    if middleware is not None:
        overrides["MIDDLEWARE"] = middleware
    with ExitStack() as stack:
        stack.enter_context(override_settings(**overrides))
        if colour == "wsgi":
            yield Shopper(Client(), provider)
            return
        portal = stack.enter_context(start_blocking_portal())
        stack.callback(portal.call, drive.aclose)
        yield Shopper(AsyncClient(), provider, portal)


def empty_database():
    call_command("flush", verbosity=0, interactive=False)
