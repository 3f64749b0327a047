"""An administrator invites an owner: a link that is shown once, listed, and can be withdrawn."""

from __future__ import annotations

import html
import re

from sqlalchemy import select

from auth_agent.server.outbound.outbox import Outbox
from auth_agent.server.storage.tables.records import audit
from tests.server.approval.owners import ISSUER, Owner
from tests.server.conftest import Build
from tests.server.people import PASSWORD, Person, administrator, signed_in
from tests.server.world import World

PAGE = "/console/invitations"
ANN = "ann@owner.example"
LINK = re.compile(re.escape(ISSUER) + r"(/owner/invitation\?token=[\w-]+)")


def ada_at(world: World) -> Person:
    administrator(world)
    ada = Person(world)
    ada.http.base_url = ISSUER
    assert ada.send("/console/sign-in", name="ada", password=PASSWORD).status_code == 303
    return ada


def test_an_owner_is_invited_once_and_an_invitation_is_withdrawn(build: Build) -> None:
    world = build(issuer=ISSUER, outbox=Outbox(None))
    ada, ann = ada_at(world), Owner(world)
    way = f'href="{PAGE}?owner=ann%40owner.example"'
    assert way in ada.get("/console/agent", id=world.agent.agent_id).text
    assert 'value="ann@owner.example"' in ada.get(PAGE, owner=ANN).text
    links = []
    for lifetime in ("900", "28800"):
        made = ada.send(PAGE, owner="Ann@Owner.example", lifetime=lifetime)
        (link,) = LINK.findall(html.unescape(made.text))
        assert ANN in made.text
        assert made.headers["cache-control"] == "no-store"
        links.append(link)
        world.clock.forward(901 if lifetime == "900" else 0)
    assert [ann.http.get(link).status_code for link in links] == [410, 200]
    text = ada.get(PAGE).text
    assert "token=" not in text
    assert text.count("Withdraw<") == 1
    assert "2027-01-15 16:15:01" in text  # eight hours from then
    assert ada.send(PAGE, f"{PAGE}/withdraw", owner=ANN).status_code == 303
    assert ann.http.get(links[1]).status_code == 410
    assert "None is open" in ada.get(PAGE).text
    assert ada.send(PAGE, f"{PAGE}/withdraw", owner=ANN).status_code == 404
    with world.database.read() as connection:
        lines = connection.execute(
            select(audit.c.outcome, audit.c.actor, audit.c.agent_id)
            .where(audit.c.kind == "owner invitation")
            .order_by(audit.c.id)
        ).all()
    about = ("administrator ada", world.agent.agent_id)
    assert lines == [("made", *about), ("made", *about), ("withdrawn", *about)]


def test_who_cannot_be_invited_is_named(build: Build) -> None:
    ada = ada_at(build(issuer=ISSUER, outbox=Outbox(None)))
    for owner, cause in (("nobody@owner.example", "no agent has"), ("ann", "not an e-mail")):
        refused = ada.send(PAGE, owner=owner, lifetime="3600")
        assert refused.status_code == 400
        assert cause in refused.text.lower()
        assert f'value="{owner}"' in refused.text


def test_at_an_address_without_a_name_there_is_nothing_to_invite_to(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    page = ada.get(PAGE).text
    assert "serve --host localhost" in page
    assert 'name="owner"' not in page
    assert ada.send("/console/account", PAGE, owner=ANN).status_code == 409
    page = ada.get("/console/account").text
    assert "serve --host localhost" in page
    assert "http://localhost:8420" in page
