"""`make screenshots`: pictures of the console and of owners' pages, of a shop that does not exist.

Needs Chromium and the packages that the tests need. Only pictures that a page names are kept;
`python -m handbook.screenshots FOLDER` writes all of them, in both colour schemes, to a folder.
"""

from __future__ import annotations

import base64
import functools
import random
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import uvicorn
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import insert, update

from auth_agent.secret import Secret
from auth_agent.server import Database, ServerSettings, create_app
from auth_agent.server.bounds import DAY, HOUR, MINUTE
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.outbound.outbox import Outbox
from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.people.administrators import create_account
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import token_family
from handbook.contents import ROOT

FOLDER = ROOT / "docs/assets/screens"
PASSWORD = "correct horse battery"
OWNER = "ann@example.com"
_CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
_WIDE, _NARROW = (1280, 860), (375, 720)
_SITES = {
    "Tidepool Books": "https://books.tidepool.example/auth-agent/callback",
    "Tidepool Tickets": "https://tickets.tidepool.example/auth-agent/callback",
    "Harbour Hotel": "https://harbour.example/auth-agent/callback",
}
_AGENTS = (
    ("Shopping agent", OWNER, "Ann", "claude-opus-4"),
    ("Travel planner", OWNER, "Ann", "gpt-5"),
    ("Invoice clerk", "ben@example.com", "Ben", "claude-sonnet-4"),
    ("Price watcher", "cleo@example.com", "Cleo", "mistral-large"),
)


class Shop(NamedTuple):
    """A running server with a month behind it."""

    base: str
    agents: list[str]
    sites: list[str]
    secret: str
    mails: list[Mail]


def main() -> None:
    """Takes every picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _shop() as shop, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            page = browser.new_context(color_scheme=scheme).new_page()
            _console(page, shop, scheme)
            _owner(page, shop, scheme)
            _waiting(page, shop, scheme)
        browser.close()


@functools.cache
def named() -> frozenset[str]:
    """Returns the names of the pictures that the documentation shows."""
    pages = (path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    return frozenset(name for text in pages for name in re.findall(r"screens/([\w-]+\.webp)", text))


def _console(page: Page, shop: Shop, scheme: str) -> None:
    page.goto(f"{shop.base}/console/sign-in")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").first.click()
    for name, path in {
        "overview": "/console?period=7d",
        "agents": "/console/agents",
        "agent": f"/console/agent?id={shop.agents[0]}",
        "sign-ins": "/console/sign-ins",
        "website": f"/console/website?id={shop.sites[0]}",
        "keys": "/console/keys",
        "audit": "/console/audit",
    }.items():
        page.goto(shop.base + path)
        # The overview as far down as its chart.
        _picture(page, f"console-{name}", scheme, taller=560 if name == "overview" else 0)


def _owner(page: Page, shop: Shop, scheme: str) -> None:
    page.goto(f"{shop.base}/owner/sign-in")
    page.get_by_label("address").fill(OWNER)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="mail").wait_for()
    page.goto(re.findall(r"http\S+", _next_mail(shop).text)[0])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Your agents").wait_for()
    request_id = _open(shop)
    answer = {"request_id": request_id, "agent_id": shop.agents[0], "agent_secret": shop.secret}
    with httpx2.Client(base_url=shop.base) as http:
        http.post("/api/agent/authenticate", json={**answer, "model": "claude-opus-4"})
    shop.mails.clear()
    page.goto(f"{shop.base}/owner")
    _picture(page, "owner-home", scheme)
    page.goto(f"{shop.base}/owner/agent?id={shop.agents[0]}")
    _picture(page, "owner-agent", scheme)
    page.goto(f"{shop.base}/owner")
    page.locator("section.asking a").first.click()
    _picture(page, "owner-question", scheme)


def _waiting(page: Page, shop: Shop, scheme: str) -> None:
    page.goto(f"{shop.base}/authorize?{_query(shop)}")
    page.locator("#left:has-text('min')").wait_for()
    _picture(page, "waiting", scheme)


def _picture(page: Page, name: str, scheme: str, taller: int = 0) -> None:
    """Takes a page at two widths, as WebP."""
    for width, size in (("wide", _WIDE), ("narrow", _NARROW)):
        page.set_viewport_size({"width": size[0], "height": size[1] + taller})
        session = page.context.new_cdp_session(page)
        asked = {"format": "webp", "quality": 72, "optimizeForSpeed": False}
        taken = session.send("Page.captureScreenshot", asked)
        session.detach()
        file = f"{name}-{scheme}-{width}.webp"
        if folder := sys.argv[1:]:
            (Path(folder[0]) / file).write_bytes(base64.b64decode(taken["data"]))
        elif file in named():
            (FOLDER / file).write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def _shop() -> Iterator[Shop]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        base, mails = f"http://127.0.0.1:{door.getsockname()[1]}", list[Mail]()
        settings = ServerSettings(issuer=base, database=f"sqlite:///{folder}/shop.db")
        outbox = Outbox(lambda mail: mails.append(mail) is None)
        app = create_app(settings, outbox=outbox)
        shop = _furnished(app.state.context.database, base, mails)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.05)
            yield shop
        finally:
            server.should_exit = True
            thread.join(10)


def _furnished(database: Database, base: str, mails: list[Mail]) -> Shop:
    now = int(time.time())
    create_account(database, "ada", Secret(PASSWORD), now - 30 * DAY)
    sites = [
        clients.add_client(database, name, [uri], now=now - (30 - number) * DAY).client_id
        for number, (name, uri) in enumerate(_SITES.items())
    ]
    made = [
        agents.add_agent(
            database,
            email,
            name=owner,
            display_name=name,
            model=model,
            approval="first" if number == 0 else None,
            verified=number != 3,
            now=now - (29 - number) * DAY,
        )
        for number, (name, email, owner, model) in enumerate(_AGENTS)
    ]
    ids = [agent.agent_id for agent in made]
    _past(database, ids, sites, now)
    return Shop(base, ids, sites, made[0].agent_secret.reveal(), mails)


def _past(database: Database, who: list[str], where: list[str], now: int) -> None:
    chance = random.Random(20)  # noqa: S311  # no secret
    lines, families = [], []
    for hour in range(30 * 24, -1, -1):
        at = now - hour * HOUR
        busy = 3 if 7 <= time.gmtime(at).tm_hour <= 20 else 1
        for _ in range(chance.randrange(busy * 2)):
            number = min(int(chance.expovariate(0.9)), 2)
            agent, site = who[number], where[min(int(chance.expovariate(0.8)), 2)]
            at += chance.randrange(1, 10 * MINUTE)
            if at < now - 5:
                lines.append(_line(at, "approval", "approved", agent, site))
                lines.append(_line(at + 1, "token", "issued", agent, site))
                family = _family(len(families), at, _AGENTS[number][3], now)
                families.append({**family, "agent_id": agent, "client_id": site})
        if chance.random() < 0.05:
            lines.append(_line(at, "approval", "denied", None, where[0]))
    # Somebody has an old secret, and a website a new one that it does not know yet.
    for number in range(9):
        lines.append(
            _line(
                now - 5 * HOUR + number * 600, "approval", "invalid_credentials", who[1], where[1]
            )
        )
    for number in range(6):
        lines.append(_line(now - 3 * HOUR + number * 60, "token", "refused", None, where[2]))
    with database.begin() as connection:
        connection.execute(insert(audit), sorted(lines, key=lambda line: line["at"]))
        connection.execute(insert(token_family), families)
        old = update(token_family).where(token_family.c.created_at < now - 8 * HOUR)
        connection.execute(old.values(revoked_at=now - 8 * HOUR))


def _line(at: int, kind: str, outcome: str, agent_id: str | None, client_id: str) -> dict[str, Any]:
    return {
        "at": at,
        "kind": kind,
        "outcome": outcome,
        "agent_id": agent_id,
        "client_id": client_id,
        "request_id": None,
        "address": "203.0.113.24",
        "actor": None,
    }


def _family(number: int, at: int, model: str, now: int) -> dict[str, Any]:
    return {
        "id": f"family-{number}",
        "scope": "openid profile email",
        "audience": "https://books.tidepool.example",
        "model": model,
        "amr": "pwd",
        "auth_time": at,
        "refresh_hash": f"{number}",
        "refresh_issued_at": at,
        "refresh_expires_at": now + DAY,
        "access_expires_at": now + MINUTE,
        "created_at": at,
        "expires_at": now + DAY,
    }


def _query(shop: Shop) -> str:
    asked = {
        "client_id": shop.sites[0],
        "redirect_uri": next(iter(_SITES.values())),
        "response_type": "code",
        "scope": "openid profile email",
        "state": "s",
        "code_challenge": _CHALLENGE,
        "code_challenge_method": "S256",
    }
    return str(httpx2.QueryParams(asked))


def _open(shop: Shop) -> str:
    page = httpx2.get(f"{shop.base}/authorize?{_query(shop)}")
    return str(re.findall(r"request_id: '([^']+)'", page.text)[0])


def _next_mail(shop: Shop) -> Mail:
    end = time.monotonic() + 10
    while not shop.mails:
        if time.monotonic() > end:
            raise TimeoutError("no mail was sent")
        time.sleep(0.05)
    return shop.mails.pop()


if __name__ == "__main__":
    main()
