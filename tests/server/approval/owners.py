"""Owners at a server with a name, where passkeys work."""

from __future__ import annotations

import html
import re
from typing import Any

from tests.server.authenticator import Authenticator
from tests.server.console.test_owners import ANN, Postbox, ask, type_code
from tests.server.people import Person
from tests.server.world import World

ISSUER = "http://localhost:8420"
_FORM = re.compile(
    r'<form method="post" action="([^"]+)"[^>]*data-passkey="([^"]+)">(.*?)</form>', re.S
)
_FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


class Owner(Person):
    """A browser of an owner, at the server's own name."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.http.base_url = ISSUER


def by_mail(world: World, box: Postbox, email: str = ANN) -> Owner:
    """Signs in with a mailed code."""
    person = Owner(world)
    page = ask(person, email)
    assert type_code(person, page, box.code).status_code == 303
    return person


def passkey_form(
    person: Person, page: str, action: str, **wanted: str
) -> tuple[str, dict[str, str]]:
    """Returns the options and hidden fields of a form that asks for a passkey."""
    text = person.http.get(page).text
    for path, options, inside in _FORM.findall(text):
        fields = {name: html.unescape(value) for name, value in _FIELD.findall(inside)}
        if path == action and all(fields[name] == value for name, value in wanted.items()):
            return html.unescape(options), fields
    raise AssertionError(f"no form for {action} on {page}: {text}")


def add_passkey(person: Person, name: str = "Phone") -> Authenticator:
    device = Authenticator()
    options, fields = passkey_form(person, "/owner/passkeys", "/owner/passkeys/add")
    answer = person.post(
        "/owner/passkeys/add", **{**fields, "credential": device.create(options), "name": name}
    )
    assert answer.status_code == 303, answer.text
    return device


def with_passkey(world: World, device: Authenticator, **changes: Any) -> Owner:
    person = Owner(world)
    answer = sign_in(person, device, **changes)
    assert answer.status_code == 303, answer.text
    return person


def sign_in(person: Person, device: Authenticator, **changes: Any) -> Any:
    options, fields = passkey_form(person, "/owner/sign-in", "/owner/sign-in/passkey")
    credential = device.get(options, **changes)
    return person.post("/owner/sign-in/passkey", **{**fields, "credential": credential})


def approve(
    person: Person,
    question_id: str,
    device: Authenticator,
    decision: str = "approve",
    **changes: Any,
) -> Any:
    """Approves on the question's page with a passkey."""
    action = "/owner/question/approve"
    page = f"/owner/question?id={question_id}"
    options, fields = passkey_form(person, page, action, decision=decision)
    credential = device.get(options, **changes)
    return person.post(action, **{**fields, "credential": credential})


__all__ = ["ANN", "Owner", "Postbox"]
