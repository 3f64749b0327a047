"""The waiting page and the agent's approval, as a website would write them around the toolkit.

What was asked for travels signed in the request's id, as the toolkit's own form carries it;
the approval creates the grant.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session  # a table of short-lived values, ready made
from django.core import signing
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.views.mixins import OAuthLibMixin

from benchmarks.peers.servers.agent_secret import KnownSecret

ASKED = (
    *("client_id", "redirect_uri", "response_type", "state", "nonce"),
    *("code_challenge", "code_challenge_method"),
)
agent_secret = KnownSecret("secret")


def authorize(request: HttpRequest) -> HttpResponse:
    scopes, asked = OAuthLibMixin().validate_authorization_request(request)
    asked = {name: asked[name] for name in ASKED}
    request_id = signing.dumps([secrets.token_urlsafe(12), " ".join(scopes), asked])
    page = HttpResponse(
        f"<!doctype html><script>window.authRequest = {{ request_id: '{request_id}' }}</script>"
    )
    page.set_cookie("browser", "1", httponly=True)
    return page


@csrf_exempt
def authenticate(request: HttpRequest) -> HttpResponse:
    proof = json.loads(request.body)
    assert agent_secret.is_right(proof["agent_secret"])
    request.user = User.objects.get(username=proof["agent_id"])
    _, scopes, asked = signing.loads(proof["request_id"], max_age=600)
    uri, *_ = OAuthLibMixin().create_authorization_response(request, scopes, asked, allow=True)
    Session.objects.create(
        session_key=key(proof["request_id"]),
        session_data=parse_qs(urlsplit(uri).query)["code"][0],
        expire_date=timezone.now() + timedelta(minutes=1),
    )
    return JsonResponse({"success": True})


def check_status(request: HttpRequest) -> HttpResponse:
    kept = Session.objects.get(session_key=key(request.GET["request_id"]))
    return JsonResponse({"status": "authenticated", "code": kept.session_data})


def key(request_id: str) -> str:
    return hashlib.sha256(request_id.encode()).hexdigest()[:40]


urlpatterns = [
    path("o/authorize/", authorize),
    path("api/agent/authenticate", authenticate),
    path("api/check-status", check_status),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
