"""Decorated views of Flask, as a website's own type checker sees them."""

from collections.abc import Callable, Coroutine
from typing import Any

from flask import Flask
from typing_extensions import assert_type

from auth_agent_flask import (
    AuthAgent,
    current_agent,
    current_approval,
    no_agents,
    requires_agent,
    requires_approval,
)

app = Flask(__name__)
AuthAgent(app)


@app.route("/bare")
@requires_agent
def bare() -> str:
    return current_agent.id


@app.route("/called/<int:number>")
@requires_agent(scopes=["reports:read"])
async def called(number: int) -> str:
    return str(number)


@app.post("/pay")
@requires_approval({"type": "payment", "title": "Pay 45.00 EUR"}, verified_email=True)
def pay() -> str:
    return str(current_approval["title"])


@app.get("/people")
@no_agents
def people() -> str:
    return "people"


app.before_request(requires_agent(lambda: None))
kept: list[Callable[[], str]] = [bare, pay, people]
awaited: Callable[[int], Coroutine[Any, Any, str]] = called
assert_type(bare(), str)
called("2")  # type: ignore[arg-type, unused-coroutine]
bare(1)  # type: ignore[call-arg]
requires_agent(scope=["reports:read"])  # type: ignore[call-overload]
requires_approval({}, scope=["reports:read"])  # type: ignore[call-arg]
