"""A website with django-allauth as it comes: its sign-in is a form, and it has no landing page.

python -m tests.sdk.allauth_site PORT ISSUER CLIENT_ID CLIENT_SECRET DATABASE
"""

from __future__ import annotations

import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

PORT, ISSUER, CLIENT_ID, CLIENT_SECRET, DATABASE = sys.argv[1:6]
APP = {"provider_id": "auth-agent", "name": "Auth Agent", "client_id": CLIENT_ID,
       "secret": CLIENT_SECRET, "settings": {"server_url": ISSUER}}  # fmt: skip

settings.configure(
    SECRET_KEY="a secret of the website that is long enough",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
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
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    SOCIALACCOUNT_PROVIDERS={"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [APP]}},
    ACCOUNT_EMAIL_VERIFICATION="none",
    LOGIN_REDIRECT_URL="/nothing-here",
    USE_TZ=True,
)
django.setup()


def who(request):
    from django.http import JsonResponse

    return JsonResponse({"user": request.user.email if request.user.is_authenticated else None})


urlpatterns = [path("accounts/", include("allauth.urls")), path("who", who)]

if __name__ == "__main__":
    from waitress import serve

    call_command("migrate", verbosity=0)
    serve(get_wsgi_application(), listen=f"127.0.0.1:{PORT}")
