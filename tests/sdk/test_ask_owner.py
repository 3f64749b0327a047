"""The agent asks its owner: by the SDK in both colours, the command line and a model's tool."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections import OrderedDict

import anyio
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from auth_agent import AuthError, Settings
from auth_agent.cli.program import app
from auth_agent.errors import SettingsError
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from auth_agent.sdk.calls import prover
from auth_agent.sdk.tools.acts import demanded
from auth_agent.sdk.tools.sites import Sites
from auth_agent.server.approval import asking, questions, state
from auth_agent.server.oauth import backchannel
from auth_agent.server.registry.agents import add_agent, change_agent
from auth_agent.server.registry.clients import add_client
from auth_agent.server.sign_in.owner import approve_question, deny_question
from auth_agent_starlette import AuthAgentMiddleware, requires_agent, requires_approval
from tests.adapters.network import free_port
from tests.sdk.conftest import run_async, serving

OWNER = "ada@example.com"
ACT = {"type": "payment", "title": "Pay 45.00 EUR to Corner Shop", "amount": "45.00", "order": "7"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(backchannel, "INTERVAL", 1)
    monkeypatch.setattr(asking, "MOST_OF_ONE", 1_000)  # one agent asks in all these tests


@pytest.fixture
def owner(world):
    """Answers the next question as soon as the owner is mailed; ends with the test."""
    with contextlib.suppress(queue.Empty):
        while True:
            world.mails.get_nowait()
    threads = []

    def waiting():
        with world.database.read() as connection:
            return questions.list_waiting(connection, OWNER, world.context.now())

    def answers(how="approve", then=lambda question: None):
        before = {question.id for question in waiting()}

        def wait_and_answer():
            fresh = []
            while not fresh:  # a first sign-in is told of by mail, too
                world.mails.get(timeout=20)
                fresh = [question for question in waiting() if question.id not in before]
            (question,) = fresh
            with world.database.begin() as connection:
                if how == "approve":
                    by = state.Answered(by=OWNER, how="passkey")
                    approve_question(world.context, connection, question, by)
                else:
                    deny_question(world.context, connection, question, OWNER)
            then(question)

        thread = threading.Thread(target=wait_and_answer, daemon=True)
        threads.append(thread)
        thread.start()

    yield answers
    for thread in threads:
        thread.join(20)


@pytest.fixture
def shop(world):
    """Starts a website with one act that needs approval; yields its URL."""
    site = f"http://127.0.0.1:{free_port()}"

    def act(request):
        return {**ACT, "order": request.path_params["number"]}

    @requires_approval(act)
    async def pay(request):
        return JSONResponse({"paid": request.state.approval["order"]})

    @requires_agent
    async def me(request):
        return JSONResponse({"agent_id": request.state.agent.id})

    @requires_approval(lambda request: {**ACT, "order": request.path_params["number"]})
    async def deed(request):
        return JSONResponse({"done": request.state.approval["order"]})

    routes = [
        Route("/orders/{number}/pay", pay, methods=["POST"]),
        Route("/deeds/{number}", deed),
        Route("/me", me),
    ]
    settings = Settings(**{**world.settings, "base_url": site})
    now = int(time.time())
    client = add_client(world.database, "Shop", [f"{site}/auth-agent/callback"], now=now)
    secret = client.client_secret
    settings = msgspec.structs.replace(settings, client_id=client.client_id, client_secret=secret)
    made = Starlette(routes=routes, middleware=[Middleware(AuthAgentMiddleware, settings)])
    with serving(made, site):
        yield site


def ask(world, colour, *arguments, **named):
    changes = named.pop("options", {})
    if colour == "thread":
        with AgentSDK(**world.options(**changes)) as sdk:
            return sdk.ask_owner(*arguments, **named)

    async def main():
        async with AsyncAgentSDK(**world.options(**changes)) as sdk:
            return await sdk.ask_owner(*arguments, **named)

    return run_async(main)


@pytest.mark.parametrize("colour", ["thread", "task"])
def test_the_token_does_the_act_once(world, owner, shop, colour):
    import httpx2

    seen = []
    owner(then=seen.append)
    tokens = ask(world, colour, ACT, resource=shop, message="order 7")
    (approved,) = tokens.authorization_details
    assert approved.items() >= ACT.items()
    assert seen[0].message == "order 7"
    assert seen[0].model == "claude-sonnet-4"
    assert tokens.refresh_token is None
    assert tokens.access_token not in repr(tokens)
    with httpx2.Client(base_url=shop) as client:
        headers = {"authorization": f"Bearer {tokens.access_token}"}
        assert client.post("/orders/8/pay", headers=headers).status_code == 401
        assert client.post("/orders/7/pay", headers=headers).json() == {"paid": "7"}
        again = client.post("/orders/7/pay", headers=headers)
        assert again.json()["error"] == "insufficient_authorization"


@pytest.fixture
def bound(world, monkeypatch):
    """Registers the agent as one that has to prove a key (`agent add --dpop`)."""
    monkeypatch.setattr(prover, "_provers", OrderedDict())  # what it learns ends with the test
    change_agent(world.database, world.agent_id, world.context.now(), dpop_bound=True)
    yield
    change_agent(world.database, world.agent_id, world.context.now(), dpop_bound=False)


def test_a_bound_token_does_the_act_with_a_proof(world, owner, shop, bound):
    import httpx2

    owner()
    with AgentSDK(**world.options()) as sdk:
        tokens = sdk.ask_owner(ACT, resource=shop)
    assert tokens.token_type == "DPoP"
    url = f"{shop}/orders/7/pay"
    stolen = {"authorization": f"DPoP {tokens.access_token}"}
    assert httpx2.post(url, headers=stolen).status_code == 401
    headers = sdk.token_headers(tokens.access_token, url, "post")
    assert httpx2.post(url, headers=headers).json() == {"paid": "7"}


@pytest.mark.parametrize("colour", ["thread", "task"])
def test_the_owner_says_no(world, owner, colour):
    owner("deny")
    with pytest.raises(AuthError) as caught:
        ask(world, colour, [ACT], resource=world.website)
    assert caught.value.code == "owner_denied"


def test_nobody_answers(world, owner):
    def later():
        world.mails.get(timeout=20)
        world.ahead[0] += 31

    thread = threading.Thread(target=later, daemon=True)
    thread.start()
    with pytest.raises(AuthError) as caught:
        ask(world, "thread", ACT, resource=world.website, timeout=30)
    assert caught.value.code == "owner_silent"
    thread.join(20)


def test_an_agent_whose_owner_has_not_confirmed_it(world):
    agent = add_agent(world.database, "new@example.com", verified=False, now=int(time.time()))
    who = {"agent_id": agent.agent_id, "agent_secret": agent.agent_secret.reveal()}
    with pytest.raises(AuthError) as caught:
        ask(world, "thread", ACT, resource=world.website, options=who)
    assert caught.value.code == "owner_unavailable"


@pytest.mark.parametrize(
    ("details", "named", "code"),
    [
        ({"type": "payment"}, {}, "details_invalid"),
        ([{**ACT, "amount": 45.0}], {}, "details_invalid"),
        (ACT, {"message": "x" * 61}, "ask_failed"),
        (ACT, {"options": {"allowed_websites": ["https://a.example"]}}, "website_not_allowed"),
        (ACT, {"scope": "b", "options": {"allowed_scopes": ["a"]}}, "scope_not_allowed"),
        (ACT, {"options": {"agent_secret": "ags_wrong"}}, "ask_failed"),
    ],
)
def test_what_cannot_be_asked_is_refused(world, details, named, code):
    def waiting():
        with world.database.read() as connection:
            return len(questions.list_waiting(connection, OWNER, world.context.now()))

    before = waiting()
    with pytest.raises(AuthError) as caught:
        ask(world, "thread", details, resource=world.website, **named)
    assert caught.value.code == code
    assert waiting() == before


def test_a_resource_is_a_url(world):
    with pytest.raises(SettingsError):
        ask(world, "thread", ACT, resource="shop.example")


def test_a_sign_in_waits_for_the_owner_and_says_so(world, owner):
    now = world.context.now()
    change_agent(world.database, world.agent_id, now, approval="always")
    owner()
    steps = []
    try:
        sdk = AgentSDK(**world.options())
        with sdk.sign_in(f"{world.website}/me", on_step=steps.append) as site:
            assert site.response.json()["agent_id"] == world.agent_id
    finally:
        change_agent(world.database, world.agent_id, now, approval=None)
    told = [step.action for step in steps]
    assert told.index("owner_asked") < told.index("code_received")
    text = next(step.text for step in steps if step.action == "owner_asked")
    assert "owner was asked" in text
    assert "10 minutes" in text


async def code_of(call):
    with pytest.raises(AuthError) as caught:
        await call
    return caught.value.code


def test_a_page_that_needs_an_approval_is_reached_by_a_sign_in(world, owner, shop):
    """Pushes the website's request, so that its URL names neither website nor act."""
    owner()
    steps = []
    with AgentSDK(**world.options()).sign_in(f"{shop}/deeds/9", on_step=steps.append) as site:
        assert site.response.json() == {"done": "9"}
    assert "owner_asked" in [step.action for step in steps]


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        'Bearer error="insufficient_authorization"',
        'Bearer error="insufficient_authorization", authorization_remediation="AAAA"',
        'Bearer error="insufficient_authorization", authorization_remediation="e30"',
        'Bearer error="invalid_token", authorization_remediation="e30"',
    ],
)
def test_a_refusal_without_an_act_names_none(challenge):
    assert demanded(HttpResponse(401, {"www-authenticate": challenge}, b"")) == []


@pytest.mark.parametrize("demands", [False, True])
def test_a_models_tool_asks_and_the_next_act_is_done(world, owner, shop, demands, request):
    if demands:
        request.getfixturevalue("bound")

    async def code_of_second(sites):
        assert await code_of(sites.ask_owner(shop)) == "nothing_to_ask"

    async def main():
        sites = Sites(AsyncAgentSDK(**world.options()))
        try:
            await sites.sign_in(f"{shop}/me")
            assert await code_of(sites.ask_owner(shop)) == "nothing_to_ask"
            assert await code_of(sites.fetch(f"{shop}/orders/7/pay", "POST", {})) == "owner_needed"
            await anyio.to_thread.run_sync(owner)
            async with anyio.create_task_group() as calls:  # of two at once one asks
                calls.start_soon(code_of_second, sites)
                assert await sites.ask_owner(f"{shop}/orders/7/pay") == ACT["title"]
            assert await code_of(sites.ask_owner(shop)) == "nothing_to_ask"
            looked = await sites.fetch(f"{shop}/me", "GET", None)
            paid = await sites.fetch(f"{shop}/orders/7/pay", "POST", {})
            assert await code_of(sites.fetch(f"{shop}/orders/7/pay", "POST", {})) == "owner_needed"
            return looked, paid
        finally:
            await sites.aclose()

    looked, paid = run_async(main)
    assert (looked.status, paid.status) == (200, 200)
    assert "7" in paid.page_text


class TestTheCommand:
    @pytest.fixture
    def run(self, world, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)

        def call(*words, text=None, secret=world.secret):
            variables = {
                "AUTH_AGENT_AGENT_ID": world.agent_id,
                "AUTH_AGENT_AGENT_MODEL": "claude-sonnet-4",
                "AUTH_AGENT_AGENT_ISSUER": world.issuer,
                "AUTH_AGENT_AGENT_SECRET": secret,
            }
            result = CliRunner().invoke(app, ["ask-owner", *words], input=text, env=variables)
            assert world.secret not in result.output
            return result

        return call

    def test_prints_the_header_that_curl_reads(self, run, world, owner):
        owner()
        refusal = {"error": "insufficient_authorization", "authorization_details": [ACT]}
        result = run(world.website, "--details", "-", text=json.dumps(refusal))
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("Authorization: Bearer ey")
        assert result.stdout.count("\n") == 1
        assert "approved" in result.stderr

    def test_prints_json(self, run, world, owner, tmp_path):
        owner()
        (tmp_path / "act.json").write_text(json.dumps(ACT))
        result = run(world.website, "--details", "act.json", "--json")
        assert json.loads(result.stdout)["authorization_details"][0]["order"] == "7"

    @pytest.mark.parametrize("text", ["[" * 50_000, '{"type": "x"', "", "\xff", "null", "[1]"])
    def test_what_is_no_act_is_wrong_usage(self, run, world, text):
        result = run(world.website, "--details", "-", text=text)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--details" in result.stderr

    def test_of_an_agent_that_has_to_prove_a_key_says_so(self, run, world, bound):
        result = run(world.website, "--details", "-", text=json.dumps(ACT))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "bound to a key" in result.stderr

    def test_a_denial_is_exit_code_1(self, run, world, owner):
        owner("deny")
        result = run(world.website, "--details", "-", text=json.dumps([ACT]))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "owner_denied" in result.stderr

    @pytest.mark.parametrize("text", ["", "x", "[1]", '{"authorization_details": {}}', '"x"'])
    def test_no_act_is_wrong_usage(self, run, world, text):
        result = run(world.website, "--details", "-", text=text)
        assert (result.exit_code, result.stdout) == (2, "")

    def test_a_missing_file_is_wrong_usage(self, run, world):
        assert run(world.website, "--details", "nothing.json").exit_code == 2
