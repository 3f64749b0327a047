"""One act that needs the owner's approval, the same on every framework, over real HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import pytest
from django.db.transaction import non_atomic_requests
from django.http import JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from fastapi import FastAPI
from flask import Flask
from flask import request as flask_request
from rest_framework.response import Response as RestResponse
from rest_framework.views import APIView
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

import auth_agent_flask as in_flask
from auth_agent.flow import drive
from auth_agent.testing import approved
from auth_agent_django import RequiresApprovalMixin
from auth_agent_django import requires_approval as django_requires_approval
from auth_agent_django.rest_framework import AgentAuthentication
from auth_agent_django.rest_framework import approval_of as rest_approval_of
from auth_agent_starlette import AuthAgentMiddleware, requires_approval
from auth_agent_starlette.fastapi import approval_of
from tests.adapters.conftest import Visitor, settings_of
from tests.adapters.network import free_port, serve_asgi, serve_wsgi
from tests.services import redis_server, website_environ
from tests.world import run_process

JSON = {"accept": "application/json"}
PAGE = {"accept": "text/html"}


def payment(number: Any) -> dict[str, Any]:
    return {
        "type": "payment",
        "title": f"Pay order {number}",
        "amount": "45.00",
        "order": str(number),
    }


def build_starlette(settings):
    @requires_approval(lambda request: payment(request.path_params["number"]))
    async def pay(request):
        return JSONResponse(request.state.approval)

    return _starlette(settings, pay)


def build_starlette_sync(settings):
    async def act(request):
        assert (await request.body()) == b""
        return payment(request.path_params["number"])

    @requires_approval(act, scopes=["email"])
    def pay(request):
        return JSONResponse(request.state.approval)

    return _starlette(settings, pay)


def _starlette(settings, pay):
    routes = [Route("/orders/{number}/pay", pay, methods=["GET", "POST"])]
    return Starlette(routes=routes, middleware=[Middleware(AuthAgentMiddleware, settings)])


def build_fastapi(settings):
    app = FastAPI()
    app.add_middleware(AuthAgentMiddleware, settings)

    @app.api_route("/orders/{number}/pay", methods=["GET", "POST"])
    async def pay(approval: Annotated[dict, approval_of(payment)]):
        return approval

    return app


def build_flask(settings):
    app = Flask(__name__)
    in_flask.AuthAgent(app, settings)

    @app.route("/orders/<number>/pay", methods=["GET", "POST"])
    @in_flask.requires_approval(lambda request: payment(request.view_args["number"]))
    def pay(number):
        assert number == flask_request.view_args["number"]
        return dict(in_flask.current_approval)

    return app


def act_of(request):
    return payment(request.resolver_match.kwargs["number"])


@csrf_exempt
@django_requires_approval(act_of)
def pay_sync(request, number):
    return JsonResponse(request.approval)


async def act_of_async(request):
    return act_of(request)


@non_atomic_requests
@csrf_exempt
@django_requires_approval(act_of_async)
async def pay_async(request, number):
    return JsonResponse(request.approval)


@method_decorator(csrf_exempt, name="dispatch")
class PayView(RequiresApprovalMixin, View):
    def get_act(self, request):
        return act_of(request)

    def get(self, request, number):
        return JsonResponse({"form": number})

    def post(self, request, number):
        return JsonResponse(request.approval)


@method_decorator(csrf_exempt, name="dispatch")
class AsyncPayView(RequiresApprovalMixin, View):
    async def get_act(self, request):
        return act_of(request)

    async def post(self, request, number):
        return JsonResponse(request.approval)


class RestPay(APIView):
    authentication_classes = (AgentAuthentication,)
    permission_classes = (
        rest_approval_of(lambda request: payment(request.parser_context["kwargs"]["number"])),
    )

    def post(self, request, number):
        return RestResponse(request.approval)


class RestPayAsked(RestPay):
    """Asks for its permissions once more, as the browsable API does for each of its forms."""

    def post(self, request, number):
        self.check_permissions(request)
        return super().post(request, number)


SHOPS = {
    "starlette": (build_starlette, serve_asgi),
    "starlette, sync endpoint": (build_starlette_sync, serve_asgi),
    "fastapi": (build_fastapi, serve_asgi),
    "flask": (build_flask, serve_wsgi),
}


@pytest.fixture(params=SHOPS)
def shop(request, provider):
    with ExitStack() as running:
        yield _open(running, provider, *SHOPS[request.param])


def _open(running, provider, build, serve, **changes):
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    settings = settings_of(provider, base_url, **changes)
    running.enter_context(serve(build(settings), port))
    return running.enter_context(Visitor(base_url, provider, ""))


def token_of(provider, audience, number):
    """Returns the header of a token with an approval, as the agent gets it from its owner."""
    token = provider.access_token(aud=audience, **approved(payment(number)))
    return {"authorization": f"Bearer {token}"}


def approve(visitor, answer):
    """Follows `approval_url` to the owner and back; the page that the browser ends on."""
    led = visitor.get(answer.json()["approval_url"], headers=PAGE)
    assert led.status_code == 303, led.text
    return visitor.get(visitor.provider.approve(led.headers["location"]))


def test_an_act_is_done_once_the_owner_has_approved_it(shop):
    assert shop.post("/orders/7/pay", headers=JSON).json()["error"] == "login_required"
    shop.sign_in()
    refused = shop.post("/orders/7/pay", headers=JSON)
    assert refused.status_code == 401
    assert refused.json()["error"] == "insufficient_authorization"
    assert refused.json()["authorization_details"] == [payment("7")]
    assert "authorization_remediation=" in refused.headers["www-authenticate"]
    assert approve(shop, refused).status_code == 303
    assert shop.post("/orders/8/pay", headers=JSON).status_code == 401
    paid = shop.post("/orders/7/pay", headers=JSON)
    assert paid.status_code == 200, paid.text
    assert paid.json().items() >= payment("7").items()
    assert paid.json()["approval_id"]
    assert "private" in paid.headers["cache-control"]
    assert shop.post("/orders/7/pay", headers=JSON).status_code == 401


def test_a_navigation_is_led_to_the_owner_and_back(shop):
    shop.sign_in()
    led = shop.get("/orders/7/pay", headers=PAGE)
    assert led.status_code == 303
    away = shop.get(led.headers["location"], headers=PAGE)
    assert "request_uri=urn%3A" in away.headers["location"]
    assert "45.00" not in away.headers["location"] + led.headers["location"]
    back = shop.get(shop.provider.approve(away.headers["location"]))
    assert (back.status_code, back.headers["location"]) == (303, "/orders/7/pay")
    assert shop.get("/orders/7/pay", headers=PAGE).json()["amount"] == "45.00"


def test_another_websites_page_does_nothing_with_the_cookie(shop):
    shop.sign_in()
    approve(shop, shop.post("/orders/7/pay", headers=JSON))
    foreign = {**JSON, "sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    assert shop.post("/orders/7/pay", headers=foreign).status_code == 403
    assert shop.post("/orders/7/pay", headers=JSON).status_code == 200


def test_a_token_brings_its_own_approval(shop):
    headers = token_of(shop.provider, str(shop.base_url).rstrip("/"), "7")
    answers = [shop.post("/orders/7/pay", headers={**JSON, **headers}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    remediation = answers[1].headers["www-authenticate"]
    assert 'error="insufficient_authorization"' in remediation


@pytest.mark.parametrize(
    "view", [pay_sync, pay_async, PayView.as_view(), non_atomic_requests(AsyncPayView.as_view())]
)
def test_django(django, view):
    shop = django(urls=(path("orders/<number>/pay", view),))
    shop.sign_in()
    refused = shop.post("/orders/7/pay", HTTP_ACCEPT="application/json")
    assert (refused.status_code, refused.json()["error"]) == (401, "insufficient_authorization")
    led = shop.get(refused.json()["approval_url"].removeprefix("http://localhost"))
    back = urlsplit(shop.provider.approve(led["Location"]))
    assert shop.get(f"{back.path}?{back.query}").status_code == 303
    paid = shop.post("/orders/7/pay", HTTP_ACCEPT="application/json")
    assert paid.status_code == 200
    assert paid.json()["order"] == "7"
    assert shop.post("/orders/7/pay", HTTP_ACCEPT="application/json").status_code == 401


def test_a_view_that_is_a_class_shows_its_form_without_asking(django):
    shop = django(urls=(path("orders/<number>/pay", PayView.as_view()),))
    assert shop.get("/orders/7/pay", HTTP_ACCEPT="application/json").status_code == 401
    shop.sign_in()
    assert shop.get("/orders/7/pay").json() == {"form": "7"}


def test_django_rest_framework(django):
    shop = django(urls=(path("orders/<number>/pay", RestPay.as_view()),))
    shop.sign_in()
    refused = shop.post("/orders/7/pay", HTTP_ACCEPT="application/json")
    assert (refused.status_code, refused.json()["error"]) == (401, "insufficient_authorization")
    assert "authorization_remediation=" in refused["WWW-Authenticate"]
    led = shop.get(refused.json()["approval_url"].removeprefix("http://localhost"))
    back = urlsplit(shop.provider.approve(led["Location"]))
    shop.get(f"{back.path}?{back.query}")
    paid = shop.post("/orders/7/pay", HTTP_ACCEPT="application/json")
    assert (paid.status_code, paid.json()["order"]) == (200, "7")
    assert shop.post("/orders/7/pay", HTTP_ACCEPT="application/json").status_code == 401


def test_django_rest_framework_uses_one_approval_for_one_request(django):
    shop = django(urls=(path("orders/<number>/pay", RestPayAsked.as_view()),))
    headers = token_of(shop.provider, "http://localhost", "7")
    sent = {"HTTP_AUTHORIZATION": headers["authorization"], "HTTP_ACCEPT": "application/json"}
    paid = shop.post("/orders/7/pay", **sent)
    assert (paid.status_code, paid.json()["order"]) == (200, "7")
    assert shop.post("/orders/7/pay", **sent).status_code == 401


@pytest.mark.parametrize(
    "guard",
    [
        requires_approval,
        in_flask.requires_approval,
        django_requires_approval,
        approval_of,
        rest_approval_of,
    ],
)
@pytest.mark.parametrize("act", [None, {}, {"type": "payment"}, [payment("7")], "pay"])
def test_a_malformed_act_is_refused_where_it_is_written(guard, act):
    with pytest.raises(TypeError):
        guard(act)


def test_a_requirement_is_checked_before_the_act(provider):
    asked = []

    def act(request):
        asked.append(request)
        return payment("7")

    @requires_approval(act, scopes=["payments:write"])
    async def pay(request):
        return JSONResponse({})

    with ExitStack() as running:
        shop = _open(running, provider, lambda settings: _starlette(settings, pay), serve_asgi)
        assert shop.post("/orders/7/pay", headers=JSON).status_code == 401
        shop.sign_in()
        refused = shop.post("/orders/7/pay", headers=JSON)
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
        assert asked == []


def test_a_function_that_gives_no_act_lets_nobody_pass(provider):
    @requires_approval(lambda request: None)
    async def pay(request):
        return JSONResponse({})

    with ExitStack() as running:
        shop = _open(running, provider, lambda settings: _starlette(settings, pay), serve_asgi)
        shop.sign_in()
        assert shop.post("/orders/7/pay", headers=JSON).status_code == 500


@pytest.fixture(scope="module")
def redis():
    with redis_server() as url:
        yield url
        drive.close()


class TestRedis:
    def test_two_websites_processes_use_an_approval_once(self, provider, redis):
        """Sends many requests at once to two processes on one Redis; one of them is served."""
        port = free_port()
        base_url = f"http://127.0.0.1:{port}"
        environ = {
            **website_environ(provider, base_url),
            "AUTH_AGENT_SESSION_STORE": redis,
        }
        with run_process("tests.adapters.acts_site:app", "uvicorn with workers", port, environ):
            workers = set()
            for number in range(8):
                token = token_of(provider, base_url, number)

                def pay(_, number=number, token=token):
                    with httpx2.Client(base_url=base_url, timeout=30) as client:
                        return client.post(f"/orders/{number}/pay", headers={**JSON, **token})

                with ThreadPoolExecutor(8) as pool:
                    answers = list(pool.map(pay, range(16)))
                statuses = sorted(answer.status_code for answer in answers)
                assert statuses == [200, *[401] * 15]
                workers |= {answer.headers["x-worker"] for answer in answers}
            assert len(workers) == 2

    def test_a_store_that_is_away_is_a_503(self, provider):
        with ExitStack() as running:
            gone = f"redis://127.0.0.1:{free_port()}/0"
            shop = _open(running, provider, build_starlette, serve_asgi, session_store=gone)
            token = token_of(provider, str(shop.base_url).rstrip("/"), "7")
            answer = shop.post("/orders/7/pay", headers={**JSON, **token})
            assert answer.status_code == 503


def test_a_website_without_a_store_says_at_start_what_it_remembers(tmp_path):
    script = tmp_path / "site.py"
    script.write_text(_SCRIPT)
    told = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=60
    )
    assert re.search(r"approvals_in_memory.*AUTH_AGENT_SESSION_STORE", told.stderr), told.stderr
    assert told.stderr.count("approvals_in_memory") == 1


_SCRIPT = """
import logging
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from auth_agent.testing import test_settings
from auth_agent_starlette import AuthAgentMiddleware, requires_approval

logging.basicConfig()

@requires_approval({"type": "payment", "title": "Pay"})
async def pay(request):
    return JSONResponse({})

app = Starlette(
    routes=[Route("/pay", pay, methods=["POST"])],
    middleware=[Middleware(AuthAgentMiddleware, test_settings())],
)
with TestClient(app) as client:
    assert client.post("/pay").status_code == 401
"""
