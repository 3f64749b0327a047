"""An object that contains a secret does not print it, not even to a debugger's list of locals."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from auth_agent.flow.effects import Ask
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.protocol.jose.id_token import Expected
from auth_agent.protocol.token import Tokens
from auth_agent.website.config.seal import Seal, Sealed
from auth_agent.website.recognition.bearer import Bearers
from auth_agent.website.recognition.session import Session, StoredTokens, session_cookie
from auth_agent.website.recognition.store import Stored
from auth_agent.website.sign_in.queries import Callback
from auth_agent.website.sign_in.transaction import Transaction

HIDDEN = "k3ep-me-to-yourself"


@pytest.fixture
def holders(browser):
    """Returns one of everything that holds a secret."""
    browser.sign_in()
    party = browser.relying_party
    session = Session(
        id=HIDDEN, created_at=0, seen_at=0, agent=browser.agent, refresh_token=HIDDEN,
        tokens=StoredTokens(HIDDEN, HIDDEN, 0),
    )  # fmt: skip
    return [
        *(party, party._site, party.settings, party._site.seal, Bearers(party._site)),
        Expected(issuer="i", client_id="c", nonce=HIDDEN, access_token=HIDDEN, max_age=0, now=0),
        Callback(HIDDEN, HIDDEN, "iss", None),
        Sealed(HIDDEN.encode(), 0),
        *(session, session.tokens, Stored(session, HIDDEN.encode())),
        session_cookie(session, party._site),
        Tokens(access_token=HIDDEN, id_token=HIDDEN, expires_in=1, refresh_token=HIDDEN,
               scopes=None),
        Transaction(state=HIDDEN, nonce=HIDDEN, verifier=HIDDEN, next="/", cookie_name="n"),
        Ask(f"redis://:{HIDDEN}@localhost", (("SET", HIDDEN, HIDDEN),)),
        HttpRequest("POST", f"https://auth.example/token?code={HIDDEN}", (("A", HIDDEN),), b""),
        HttpResponse(200, {"x": HIDDEN}, HIDDEN.encode()),
    ]  # fmt: skip


def test_nothing_shows_what_it_holds(holders, browser):
    cookie, settings = next(iter(browser.cookies.values())), browser.relying_party.settings
    secrets = [HIDDEN, cookie, settings.client_secret.reveal(), settings.secret[0].reveal()]
    console = Console(file=io.StringIO(), width=10_000)
    for holder in holders:
        console.print(holder)
        shown = f"{holder} {holder!r} {holder.__class__.__name__} {console.file.getvalue()}"
        assert not [secret for secret in secrets if secret in shown], type(holder)


def test_a_seal_says_how_many_secrets_it_has(browser):
    assert repr(Seal(browser.relying_party.settings.secret, "x")) == "Seal(1 secrets)"
