"""Administrators and owners in a real browser: by keyboard, narrow, dark, without JavaScript."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

import httpx2
import pytest

from auth_agent.secret import Secret
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.outbound.outbox import Outbox
from auth_agent.server.registry.agents import add_agent
from auth_agent.server.registry.clients import add_client
from auth_agent.server.registry.people import administrators as console_accounts
from tests.adapters.network import free_port, serve_asgi
from tests.browser.looks import look, picture
from tests.server.world import CHALLENGE, VERIFIER

PASSWORD = "correct horse battery"


class Office(NamedTuple):
    """A real server with something to see in its console."""

    base: str
    agent_id: str
    client_id: str
    mails: list
    setup: str


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    url = f"sqlite:///{tmp_path_factory.mktemp('office')}/auth-agent.db"
    mails = []
    outbox = Outbox(_deliver_to(mails))
    # No mail but what a test asks for.
    app = create_app(ServerSettings(issuer=base, database=url, approval="off"), outbox=outbox)
    context, database = app.state.context, app.state.context.database
    client = add_client(
        database, "Example shop", ["https://shop.example/auth-agent/callback"], now=int(time.time())
    )
    add_client(
        database, "A library", ["https://books.example/callback"], public=True, now=int(time.time())
    )
    agent = add_agent(
        database, "ann@owner.example", name="Shopper", model="claude-opus-4", now=int(time.time())
    )
    add_agent(
        database,
        "a.very.long.address.of.bob@owners-department.example",
        verified=False,
        now=int(time.time()),
    )
    console_accounts.create_account(database, "ada", Secret(PASSWORD), context.now())
    token = console_accounts.make_setup_link(database, None, context.now()).reveal()
    with serve_asgi(app, port):
        for secret in ("wrong", agent.agent_secret.reveal()):
            _sign_in(base, client, agent.agent_id, secret)
        setup = f"/console/setup?token={token}"
        yield Office(base, agent.agent_id, client.client_id, mails, setup)


def _sign_in(base, client, agent_id, secret):
    """Completes a sign-in, so that there is history and a grant."""
    with httpx2.Client(base_url=base) as browser:
        redirect = "https://shop.example/auth-agent/callback"
        page = browser.get(
            "/authorize",
            params={
                **{"client_id": client.client_id, "redirect_uri": redirect, "scope": "openid"},
                **{"response_type": "code", "code_challenge_method": "S256"},
                "code_challenge": CHALLENGE,
            },
        )
        request_id = re.search(r"request_id: '([^']+)'", page.text)[1]
        body = {"request_id": request_id, "agent_id": agent_id, "agent_secret": secret}
        if browser.post("/api/agent/authenticate", json=body).status_code != 200:
            return
        told = browser.get("/api/check-status", params={"request_id": request_id}).json()
        form = {"grant_type": "authorization_code", "code": told["code"]}
        form |= {"redirect_uri": redirect, "code_verifier": VERIFIER}
        auth = (client.client_id, client.client_secret.reveal())
        assert browser.post("/token", data=form, auth=auth).status_code == 200


@pytest.fixture
def visit(chromium):
    """Opens pages that note every complaint of the browser and every foreign address."""
    contexts, complaints = [], []

    def one(**options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.extend(_complaint(message.text)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.extend(_foreign(request.url)))
        return page

    yield one
    for context in contexts:
        context.close()
    assert complaints == []


def _complaint(text):
    """Ignores Chromium's reports of refused pages, which are visited on purpose."""
    return [] if text.startswith("Failed to load resource: the server responded with") else [text]


def _foreign(url):
    return [] if url.startswith(("http://127.0.0.1:", "data:")) else [url]


def _enter(page, office):
    """Signs in by keyboard alone: the name has the focus already."""
    page.goto(f"{office.base}/console")
    assert page.url.endswith("/console/sign-in")
    page.locator("#name:focus").wait_for()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()


def _tab_to(page, name, most=80):
    """Presses Tab until the element with this text has the focus, which has to show."""
    for _ in range(most):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "[document.activeElement.textContent.trim(),"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if found[0] == name:
            assert found[1] == "solid", f"the focus on {name!r} cannot be seen"
            return
    pytest.fail(f"Tab does not reach {name!r}")


def test_the_console_by_keyboard(office, visit):
    page = visit()
    _enter(page, office)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    for name in ("Agents", "Websites", "Sign-ins", "Active sign-ins", "Keys", "Audit log"):
        _tab_to(page, name)
        page.keyboard.press("Enter")
        page.locator(f"nav a[aria-current=page]:text-is('{name}')").wait_for()
        assert page.locator("h1").count() == 1

    page.goto(f"{office.base}/console/agent?id={office.agent_id}")
    # What looks alike in each row of a table is told apart by its name.
    name = "End the sign-ins of Shopper at Example shop"
    page.get_by_role("button", name=name).wait_for()
    _tab_to(page, "End")
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("Its sign-ins there are ended").wait_for()
    _tab_to(page, "Disable the agent")
    page.keyboard.press("Enter")
    _tab_to(page, "Disable")
    page.keyboard.press("Enter")
    page.get_by_text("The agent is disabled").wait_for()
    _tab_to(page, "Enable the agent")
    page.keyboard.press("Enter")
    _tab_to(page, "Enable")
    page.keyboard.press("Enter")
    page.get_by_text("can sign in again").wait_for()


def test_the_console_without_javascript(office, visit):
    page = visit(java_script_enabled=False)
    page.goto(f"{office.base}/console/sign-in")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Agents", exact=True).click()
    page.get_by_role("link", name="Add an agent").click()
    page.get_by_label("Owner's e-mail address").fill("new@owner.example")
    page.get_by_role("button", name="Add agent").click()
    assert page.locator("dd", has_text="ags_").is_visible()
    picture(page, "console/secret", ("light", 1280))
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_text("Replace the secret").first.click()
    page.get_by_role("button", name="Replace the secret").click()
    assert page.locator("dd", has_text="ags_").is_visible()
    page.get_by_role("button", name="Sign out").click()
    assert page.url.endswith("/console/sign-in")


def test_scripts_add_local_times_and_buttons_that_copy(office, visit):
    page = visit(timezone_id="Asia/Tokyo", locale="en-GB")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    _enter(page, office)
    page.goto(f"{office.base}/console/sign-ins")
    time = page.locator("td time").first
    utc = time.get_attribute("datetime")
    assert utc.replace("T", " ").rstrip("Z") == time.text_content()
    hour = (int(utc[11:13]) + 9) % 24
    assert f"{hour:02}{utc[13:19]}" in time.get_attribute("title")
    page.goto(f"{office.base}/console/agents/new")
    page.get_by_label("Owner's e-mail address").fill("copied@owner.example")
    page.get_by_role("button", name="Add agent").click()
    environment = page.locator("pre").first
    environment.locator("+ button").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == environment.text_content()


def test_a_form_that_is_refused_says_so_to_everybody(office, visit):
    """Shows the error in the title, in the text and at the field, which keeps focus and value."""
    page = visit()
    page.goto(f"{office.base}/owner/sign-in")
    page.locator("#email:focus").wait_for()
    page.keyboard.type("jürgen at home")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("This is not an e-mail address").wait_for()
    assert page.title() == "Problem: Your agents · Auth Agent"
    field = page.locator("#email:focus")
    assert field.input_value() == "jürgen at home"
    assert field.get_attribute("aria-invalid") == "true"
    assert field.get_attribute("aria-describedby") == "problem"
    page.goto(f"{office.base}/console/sign-in")
    page.locator("#name:focus").wait_for()
    page.keyboard.type("ada")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("The name or the password is wrong").wait_for()
    assert page.locator("#password:focus").get_attribute("aria-describedby") == "problem"
    assert page.get_by_label("Name").input_value() == "ada"


def test_an_address_that_is_not_ascii_can_be_typed(office, visit):
    page = visit()
    _enter(page, office)
    page.goto(f"{office.base}/console/agents/new")
    page.get_by_label("Owner's e-mail address").fill("jürgen@bücher.example")
    page.get_by_role("button", name="Add agent").click()
    page.locator("dd", has_text="ags_").wait_for()
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("heading", name="jürgen@xn--bcher-kva.example").wait_for()
    page.goto(f"{office.base}/owner/sign-in")
    page.locator("#email:focus").wait_for()
    page.keyboard.type("jürgen@bücher.example")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Check your e-mail").wait_for()
    assert _next_mail(office).to == "jürgen@xn--bcher-kva.example"


def test_an_owner_by_code_and_by_link(office, visit):
    for way in ("code", "link"):
        page = visit()
        page.goto(f"{office.base}/owner")
        page.locator("#email:focus").wait_for()
        page.keyboard.type("ann@owner.example")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Check your e-mail").wait_for()
        text = _next_mail(office).text
        if way == "code":
            page.locator("#code:focus").wait_for()
            page.keyboard.type(re.search(r"\d{8}", text)[0])
            page.keyboard.press("Enter")
        else:
            page.goto(re.search(r"http\S+", text)[0])
            page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Your agents").wait_for()
        page.get_by_role("link", name="Shopper").click()
        assert page.get_by_text(office.agent_id).is_visible()
        for path in ("/owner", "/owner/websites", f"/owner/agent?id={office.agent_id}"):
            _look(page, office, path, (("light", 1280), ("light", 375)))


def _next_mail(office):
    end = time.monotonic() + 120
    while not office.mails:
        assert time.monotonic() < end
        time.sleep(0.02)
    return office.mails.pop()


def _deliver_to(mails):
    """Takes letters as a mail server does that offers SMTPUTF8."""

    def deliver(mail):
        if mail.to:
            mails.append(mail)
        return True

    return deliver


# 320 pixels are what is left of 1280 at 400 % (WCAG 1.4.10).
LOOKS = (("light", 1280), ("dark", 1280), ("light", 700), ("dark", 320))


def test_every_page_fits_and_can_be_read(office, visit):
    page = visit()
    link = f"?id={office.agent_id}"
    for path in (
        *("/", "/nothing", "/authorize?client_id=nobody", "/console/setup?token=x"),
        *("/console/sign-in", office.setup),
        *("/owner/sign-in", "/owner/code?id=x", "/owner/link?token=x"),
    ):
        _look(page, office, path, LOOKS)
    _enter(page, office)
    for path in (
        *("/console", "/console/agents", "/console/agents/new", f"/console/agent{link}"),
        *("/console/websites", "/console/websites/new", f"/console/website?id={office.client_id}"),
        *("/console/sign-ins", "/console/grants", "/console/keys", "/console/audit"),
        *(
            "/console/invitations",
            "/console/account",
            "/console/audit?kind=agent",
            "/console/agents?q=nobody",
        ),
        *("/console/agent?id=nobody", "/console/keys?done=rotated"),
    ):
        _look(page, office, path, LOOKS)


def _look(page, office, path, looks):
    page.goto(office.base + path)
    for summary in page.locator("summary").all():
        summary.click()
    look(page, path, looks)
