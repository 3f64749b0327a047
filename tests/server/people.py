"""Administrators and owners in their browsers."""

from __future__ import annotations

import re
from typing import Any

from starlette.testclient import TestClient

from auth_agent.secret import Secret
from auth_agent.server.registry.people import administrators as console_accounts
from tests.server.world import ISSUER, World

PASSWORD = "correct horse battery"
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


class Person:
    """A browser that fills in forms as a person does."""

    def __init__(self, world: World, address: str = "127.0.0.1") -> None:
        self.world = world
        self.http = TestClient(
            world.app, base_url=ISSUER, follow_redirects=False, client=(address, 5000)
        )
        self.http.portal = world.portal

    def get(self, path: str, **query: str) -> Any:
        return self.http.get(path, params=query or None)

    def send(self, page: str, path: str | None = None, **fields: str) -> Any:
        """Opens a page and sends a form of it."""
        found = TOKEN.search(self.http.get(page).text)
        assert found, page
        return self.post(path or page.partition("?")[0], form_token=found[1], **fields)

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Any:
        return self.http.post(
            path, data=fields, headers=headers or {"sec-fetch-site": "same-origin"}
        )

    def cookie(self, name: str) -> str | None:
        value: str | None = self.http.cookies.get(name)
        return value


def administrator(world: World, name: str = "ada") -> str:
    """Makes an administrator; the id."""
    return console_accounts.create_account(
        world.database, name, Secret(PASSWORD), world.context.now()
    )


def signed_in(world: World, name: str = "ada") -> Person:
    """Returns an administrator's browser after signing in."""
    person = Person(world)
    answer = person.send("/console/sign-in", name=name, password=PASSWORD)
    assert answer.status_code == 303, answer.text
    return person
