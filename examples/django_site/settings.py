"""Settings from the environment: AUTH_AGENT_*, and SHOP_* for what is this shop's own."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from django.core.management.utils import get_random_secret_key

BASE_URL = os.environ.get("AUTH_AGENT_BASE_URL", "http://127.0.0.1:8000")

ALLOWED_HOSTS = [urlsplit(BASE_URL).hostname or "127.0.0.1"]
DEBUG = os.environ.get("SHOP_DEBUG") == "1"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "examples.django_site.urls"
# Several workers must share it before people sign in to /admin/; agents have a secret of their own.
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY") or get_random_secret_key()
STATIC_URL = "/static/"
TIME_ZONE = "UTC"
USE_TZ = True
WSGI_APPLICATION = "examples.django_site.wsgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", "shop.db"),
    }
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "auth_agent_django",
    "auth_agent_django.accounts",
    "examples.django_site",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "auth_agent_django.AuthAgentMiddleware",
]

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "auth_agent_django.accounts.backend.AuthAgentBackend",
]

AUTH_AGENT = {
    "ACCOUNTS": os.environ.get("SHOP_ACCOUNTS") or None,
    "EMAIL_IS_VERIFIED": "examples.django_site.models.email_is_verified",
}

TEMPLATES = [
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
]
