"""The sign-in on django-oauth-toolkit; arguments: port, SQLite file, `hashed` or `clear`.

Django is as lean as it goes: one middleware, a lasting connection for each thread, WAL.
"""

from __future__ import annotations

import secrets
import sys

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections

from benchmarks.peers.servers.one_thread import OneThread


def configure(database: str) -> None:
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"
    options = {"init_command": pragmas, "transaction_mode": "IMMEDIATE", "timeout": 30}
    settings.configure(
        SECRET_KEY=secrets.token_urlsafe(50),
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="benchmarks.peers.servers.django_sign_in",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        # It tells Content-Length, which the bare client needs; every Django project has it.
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": database,
                "CONN_MAX_AGE": None,
                "OPTIONS": options,
            }
        },
        USE_TZ=True,
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": private_key(),
            "SCOPES": {name: name for name in ("openid", "profile", "email", "agent")},
        },
    )
    django.setup()


def private_key() -> str:
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()


def fill(*, hashed: bool) -> None:
    """Adds the website and the agent."""
    from django.contrib.auth.models import User  # noqa: PLC0415  (once Django is configured)
    from oauth2_provider.models import Application  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    User.objects.create(username="agent")
    Application.objects.create(
        client_id="client",
        client_secret="secret",
        hash_client_secret=hashed,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://shop.example/callback",
        algorithm=Application.RS256_ALGORITHM,
    )


if __name__ == "__main__":
    configure(sys.argv[2])
    fill(hashed=sys.argv[3] == "hashed")
    connections.close_all()  # the worker opens its own
    OneThread(get_wsgi_application).run()
