"""A server in a process of its own, which makes one move at the same moment as another one."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from starlette.testclient import TestClient

from auth_agent.secret import Secret
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.approval import questions, state
from auth_agent.server.registry.client import CIBA
from auth_agent.server.sign_in.owner import approve_question, deny_question
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Refusal
from tests.server.world import ISSUER, Clock

BY_MAIL = state.Answered(by="ann@owner.example", how="mail")


def approve(app: Any, question: Any, *, always: bool = False) -> bool:
    context = app.state.context
    with context.database.begin() as connection:
        approve_question(context, connection, question, BY_MAIL, always=always)
    return True


def always(app: Any, question: Any) -> bool:
    return approve(app, question, always=True)


def deny(app: Any, question: Any) -> bool:
    context = app.state.context
    with context.database.begin() as connection:
        deny_question(context, connection, question, BY_MAIL.by)
    return True


def block(app: Any, question: Any) -> bool:
    context = app.state.context
    return endings.disable_agent(context.database, question.agent_id, context.now())


def expire(app: Any, question: Any) -> bool:
    """As a server whose clock is ahead."""
    with app.state.context.database.begin() as connection:
        return state.expire_due(connection, question.expires_at) == 1


def collect(app: Any, told: dict[str, Any]) -> str:
    """The access token for an `auth_req_id`; nothing if it is refused."""
    form = {"grant_type": CIBA, "auth_req_id": told["auth_req_id"]}
    answer = TestClient(app, base_url=ISSUER).post("/token", data=form, auth=told["auth"])
    assert answer.status_code in (200, 400, 401), answer.text
    return str(answer.json().get("access_token", ""))


MOVES: dict[str, Callable[[Any, Any], bool]] = {
    move.__name__: move for move in (approve, always, deny, block, expire)
}


class _Servers:
    """One server for each database, with a clock that is told."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._apps: dict[str, Any] = {}

    def at(self, url: str, now: float) -> Any:
        self._clock.now = now
        if url not in self._apps:
            settings = ServerSettings(issuer=ISSUER, database=url, secrets=(Secret("s" * 32),))
            self._apps[url] = create_app(settings, clock=self._clock)
        return self._apps[url]

    def close(self, url: str) -> None:
        if url in self._apps:
            self._apps.pop(url).state.context.close()


def run(commands: Connection, start: Barrier) -> None:
    """Makes the moves that it is told, each together with the other process, until None comes."""
    servers = _Servers()
    while (command := commands.recv()) is not None:
        url, name, told, now = command
        if name == "close":
            servers.close(url)
            commands.send(True)
            continue
        app = servers.at(url, now)
        with app.state.context.database.read() as connection:
            question = questions.find(connection, told["question"])
        start.wait(60)
        try:
            commands.send(collect(app, told) if name == "collect" else MOVES[name](app, question))
        except Refusal:
            commands.send(False)
