"""Owners in Chromium, with its virtual authenticator: passkeys, approvals, "This is my agent"."""

from __future__ import annotations

import queue
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import anyio
import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from auth_agent.secret import Secret
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.approval.invitations import invite
from auth_agent.server.outbound.outbox import Outbox
from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.people import administrators
from auth_agent.server.registry.resources import add_resource
from tests.adapters.network import free_port, serve_asgi
from tests.browser.looks import follow, look
from tests.browser.test_console import PASSWORD, _deliver_to
from tests.mcpserver.sites import make_app
from tests.mcpserver.test_standard_clients import _Issuer, _Storage
from tests.server.world import CHALLENGE, UPSTREAM_PATTERN

CALLBACK = "https://shop.example/auth-agent/callback"
ANN = "ann@owner.example"
PAY = (
    '[{"type":"payment","title":"Pay 45.00 EUR to Corner Shop","amount":"45.00",'
    '"currency":"EUR","order":"7"}]'
)
# A phone that has the person's finger on it.
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


class House(NamedTuple):
    """A real server with a name, an owner's agent that asks always, and the mails."""

    base: str
    agent: agents.AgentCredentials
    client_id: str
    mails: list
    database: Any


@pytest.fixture
def house(tmp_path):
    port, mails = free_port(), []
    base, url = f"http://localhost:{port}", f"sqlite:///{tmp_path}/auth-agent.db"
    app = create_app(ServerSettings(issuer=base, database=url), outbox=Outbox(_deliver_to(mails)))
    database, now = app.state.context.database, int(time.time())
    client = clients.add_client(database, "Corner Shop", [CALLBACK], public=True, now=now)
    agent = agents.add_agent(
        database, ANN, name="Ann", display_name="Shopping agent", model="m", now=now
    )
    agents.change_agent(database, agent.agent_id, now, approval="always")
    administrators.create_account(database, "ada", Secret(PASSWORD), now)
    with serve_asgi(app, port):
        yield House(base, agent, client.client_id, mails, database)


@pytest.fixture
def visit(chromium):
    """Opens browsers with a device that makes passkeys; notes every complaint."""
    contexts, complaints = [], []

    def one(*, device=True, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.route("https://shop.example/**", lambda route: route.fulfill(body="Welcome"))
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.extend(_complaint(message.text)))
        if device:
            devtools = context.new_cdp_session(page)
            devtools.send("WebAuthn.enable")
            devtools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        return page

    yield one
    for context in contexts:
        context.close()
    assert complaints == []


def _complaint(text):
    """Pages that say no are visited on purpose, and a test is quicker than `autofocus`."""
    expected = ("Failed to load resource: the server responded with", "Autofocus processing")
    return [] if text.startswith(expected) else [text]


def _authorize(house, **more):
    asked = {"client_id": house.client_id, "redirect_uri": CALLBACK, "response_type": "code"}
    asked |= {"scope": "openid email", "code_challenge": CHALLENGE, "state": "s", **more}
    return f"{house.base}/authorize?{urlencode({**asked, 'code_challenge_method': 'S256'})}"


def _agent_answers(house, page):
    """Runs the agent's own program, beside the browser."""
    request_id = UPSTREAM_PATTERN.search(page.content())[1]
    secret = house.agent.agent_secret.reveal()
    body = {"request_id": request_id, "agent_id": house.agent.agent_id, "agent_secret": secret}
    answer = httpx2.post(f"{house.base}/api/agent/authenticate", json={**body, "model": "claude"})
    assert answer.json()["status"] == "owner_approval_pending", answer.text


def _mail(house, words):
    end = time.monotonic() + 120
    while True:
        for mail in house.mails:
            if words in mail.text:
                house.mails.remove(mail)
                return mail.text
        assert time.monotonic() < end, [mail.subject for mail in house.mails]
        time.sleep(0.02)


def _enter_by_mail(house, page):
    page.locator("#email").fill(ANN)
    follow(page, page.get_by_role("button", name="Send me a code"))
    page.locator("#code").fill(re.search(r"\d{8}", _mail(house, "Your code is"))[0])
    follow(page, page.get_by_role("button", name="Sign in"))


def _add_passkey(house, page, name="Phone"):
    page.goto(f"{house.base}/owner")
    _enter_by_mail(house, page)
    page.get_by_role("link", name="Passkeys").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("heading", name=name).wait_for()
    page.get_by_role("button", name="Sign out").click()


def _enter_by_passkey(page):
    page.get_by_role("button", name="Sign in with a passkey").click()


def test_an_owner_adds_a_passkey_and_signs_in_with_it(house, visit):
    page = visit()
    _add_passkey(house, page, "Ann's phone")
    _mail(house, "A passkey was added")
    _enter_by_passkey(page)
    page.get_by_role("heading", name="Your agents").wait_for()
    page.get_by_role("link", name="Passkeys").click()
    page.get_by_text("Remove", exact=True).click()
    page.get_by_role("button", name="Remove the passkey").click()
    page.get_by_text("The passkey is removed").wait_for()
    page.get_by_text("You have none yet").wait_for()


def test_a_browser_without_the_passkey_says_so_and_can_try_again(house, visit):
    _add_passkey(house, visit())
    stranger = visit()
    stranger.goto(f"{house.base}/owner/sign-in")
    for _ in range(2):
        _enter_by_passkey(stranger)
        stranger.get_by_role("alert").get_by_text("No passkey was used").wait_for()
    assert stranger.url.endswith("/owner/sign-in")


def test_the_owner_approves_from_the_mail_and_the_browser_goes_on(house, visit):
    owner, agent = visit(), visit(device=False)
    _add_passkey(house, owner)
    agent.goto(_authorize(house))
    _agent_answers(house, agent)
    agent.get_by_role("heading", name="Waiting for the owner").wait_for()
    code = agent.locator("#owner strong").inner_text()
    owner.goto(re.search(r"http\S+/owner/question\S+", _mail(house, "waits for your answer"))[0])
    _enter_by_passkey(owner)
    owner.get_by_role("heading", name="shop.example").wait_for()
    assert code in owner.locator("main").inner_text()
    owner.get_by_role("button", name="Approve", exact=True).click()
    owner.get_by_role("status").get_by_text("Approved").wait_for()
    agent.wait_for_url("https://shop.example/auth-agent/callback?code=**")
    owner.get_by_role("link", name="Your answers").click()
    owner.get_by_text("with a passkey").wait_for()


def test_a_denied_browser_goes_back_to_its_website(house, visit):
    owner, agent = visit(), visit(device=False)
    _add_passkey(house, owner)
    agent.goto(_authorize(house, authorization_details=PAY))
    _agent_answers(house, agent)
    _enter_by_passkey(owner)
    owner.get_by_role("link", name="Pay 45.00 EUR to Corner Shop").click()
    owner.get_by_role("button", name="Deny").click()
    owner.get_by_role("status").get_by_text("Denied").wait_for()
    agent.wait_for_url("**error=access_denied**")


def test_this_is_my_agent(house, visit):
    page = visit()
    _add_passkey(house, page)
    page.goto(_authorize(house))
    page.get_by_role("link", name="This is my agent").click()
    _enter_by_passkey(page)
    page.get_by_label("Agent").select_option(house.agent.agent_id)
    page.get_by_role("button", name="Go on").click()
    with page.expect_request("https://shop.example/auth-agent/callback?code=*"):
        page.get_by_role("button", name="Approve").click()


def test_without_javascript_a_mailed_code_serves_until_there_is_a_passkey(house, visit):
    agent, owner = visit(device=False), visit(device=False, java_script_enabled=False)
    agent.goto(_authorize(house))
    _agent_answers(house, agent)
    owner.goto(f"{house.base}/owner")
    _enter_by_mail(house, owner)
    owner.get_by_role("link", name="Sign in to shop.example").click()
    owner.get_by_role("button", name="Always for this website").click()
    agent.wait_for_url("https://shop.example/auth-agent/callback?code=**")


LOOKS = (("light", 375), ("dark", 375), ("light", 1280), ("dark", 320))


def test_every_page_of_an_approval_fits_and_can_be_read(house, visit):
    page, agent = visit(), visit(device=False)
    agent.goto(_authorize(house, authorization_details=PAY.replace("7", "8" * 300)))
    look(agent, "approval/waiting", LOOKS)
    _agent_answers(house, agent)
    agent.get_by_role("heading", name="Waiting for the owner").wait_for()
    look(agent, "approval/waiting-for-owner", LOOKS)
    question = re.search(r"http\S+/owner/question\S+", _mail(house, "waits for your answer"))[0]
    page.goto(question)
    look(page, "approval/sign-in", LOOKS)
    _enter_by_mail(house, page)
    look(page, "approval/question-by-mail", LOOKS)
    _, token = invite(house.database, ANN, int(time.time()))
    for word, name in ((token.reveal(), "invitation"), ("x", "invitation-over")):
        page.goto(f"{house.base}/owner/invitation?token={word}")
        look(page, f"approval/{name}", LOOKS)
    for name in ("passkeys", "history"):
        page.goto(f"{house.base}/owner/{name}")
        look(page, f"approval/{name}-empty", LOOKS)
    page.goto(f"{house.base}/owner/passkeys")
    page.get_by_label("Name").fill("A phone with a long name " + "x" * 50)
    follow(page, page.get_by_role("button", name="Add a passkey"))
    page.locator("summary", has_text="Rename").click()
    look(page, "approval/passkeys", LOOKS)
    page.goto(f"{house.base}/owner")
    look(page, "approval/inbox", LOOKS)
    page.goto(question)
    look(page, "approval/question", LOOKS)
    follow(page, page.get_by_role("button", name="Approve"))
    look(page, "approval/question-approved", LOOKS)
    page.goto(_authorize(house))
    follow(page, page.get_by_role("link", name="This is my agent"))
    look(page, "approval/my-agent", LOOKS)
    follow(page, page.get_by_role("button", name="Go on"))
    look(page, "approval/my-agent-approve", LOOKS)
    page.goto(f"{house.base}/owner/history")
    look(page, "approval/history", LOOKS)
    page.goto(f"{house.base}/owner/agent?id={house.agent.agent_id}")
    look(page, "approval/agent", LOOKS)


def test_an_administrator_signs_in_with_a_passkey(house, visit):
    page = visit()
    page.goto(f"{house.base}/console")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("link", name="ada", exact=True).click()
    page.get_by_label("Name of the passkey").fill("Key on my ring")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_text("Key on my ring").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("heading", name="Overview").wait_for()


def test_an_mcp_client_that_only_opens_a_browser_gets_in(house, visit):
    """Uses the official client, which has no notion of agents: its user says which one it is."""
    page, opened, returned = visit(), queue.Queue(), queue.Queue()
    _add_passkey(house, page)
    port = free_port()
    mcp = f"http://127.0.0.1:{port}/mcp"
    add_resource(
        house.database, mcp, name="Invoices", scopes=["invoices:write"], now=int(time.time())
    )

    async def go_to(url):
        opened.put(url)

    async def come_back():
        url = await anyio.to_thread.run_sync(lambda: returned.get(timeout=30))
        query = parse_qs(urlsplit(url).query)
        return AuthorizationCodeResult(
            code=query["code"][0], state=query["state"][0], iss=query["iss"][0]
        )

    async def call():
        auth = OAuthClientProvider(
            server_url=mcp,
            client_metadata=OAuthClientMetadata(
                client_name="An IDE", redirect_uris=["http://127.0.0.1:49152/callback"]
            ),
            storage=_Storage(),
            redirect_handler=go_to,
            callback_handler=come_back,
        )
        async with (
            httpx2.AsyncClient(auth=auth, timeout=60) as http,
            Client(streamable_http_client(mcp, http_client=http)) as client,
        ):
            return (await client.call_tool("whoami", {})).content[0].text

    guarded = make_app("mcp", _Issuer(house.base), f"http://127.0.0.1:{port}")
    with serve_asgi(guarded, port), ThreadPoolExecutor(1) as pool:
        running = pool.submit(anyio.run, call)
        page.goto(opened.get(timeout=30))
        page.get_by_role("link", name="This is my agent").click()
        _enter_by_passkey(page)
        page.get_by_text("Verified address").wait_for()
        page.get_by_role("button", name="Go on").click()
        with page.expect_request(lambda request: ":49152/callback?" in request.url) as seen:
            page.get_by_role("button", name="Approve").click()
        returned.put(seen.value.url)
        assert running.result(30) == house.agent.agent_id
