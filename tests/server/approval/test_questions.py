"""Questions to owners: each state, each refusal, and races for the last word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select

from auth_agent.server.approval import questions, state
from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.resources import add_resource
from auth_agent.server.sign_in.owner import approve_question, deny_question
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Refusal
from tests.server.conftest import Build
from tests.server.world import World

ANN = "ann@owner.example"
BY_MAIL = state.Answered(by=ANN, how="mail")


def setting(world: World, approval: str, agent_id: str | None = None) -> None:
    agent_id = agent_id or world.agent.agent_id
    now = world.context.now()
    assert agents.change_agent(world.database, agent_id, now, approval=approval)


def waiting(world: World, **changes: Any) -> tuple[Any, Any]:
    """Returns a browser whose sign-in waits for the owner, and the question."""
    browser = world.browser()
    request_id = world.open(browser, **changes)
    answer = world.answer(request_id)
    assert answer.json()["status"] == "owner_approval_pending", answer.text
    return browser, of_request(world, request_id)


def of_request(world: World, request_id: str) -> Any:
    with world.database.read() as connection:
        return questions.find_of_request(connection, request_id)


def approve(world: World, question: Any, by: state.Answered = BY_MAIL, **more: bool) -> None:
    with world.database.begin() as connection:
        approve_question(world.context, connection, question, by, **more)


def deny(world: World, question: Any, by: str = ANN) -> None:
    with world.database.begin() as connection:
        deny_question(world.context, connection, question, by)


@contextmanager
def refused(words: str) -> Iterator[None]:
    with pytest.raises(Refusal) as caught:
        yield
    assert words in caught.value.description


def expire(world: World) -> int:
    with world.database.begin() as connection:
        return state.expire_due(connection, world.context.now())


def outcomes(world: World, kind: str = state.KIND) -> list[str]:
    """Returns the audit's lines about questions, oldest first."""
    with world.database.read() as connection:
        asked = select(audit.c.outcome).where(audit.c.kind == kind).order_by(audit.c.id)
        return list(connection.execute(asked).scalars())


def status(world: World, question: Any) -> str:
    with world.database.read() as connection:
        found = questions.find(connection, question.id)
    return questions.status_of(found, world.context.now())


@pytest.fixture
def asking(own_world: World) -> World:
    """Starts a server on which Ann is asked always."""
    setting(own_world, "always")
    return own_world


def test_a_request_waits_and_goes_on_once_its_owner_approves(asking: World) -> None:
    browser = asking.browser()
    request_id = asking.open(browser)
    answer = asking.answer(request_id)
    assert answer.status_code == 200
    told = answer.json()
    assert {name: told[name] for name in ("success", "status", "expires_in")} == {
        "success": True,
        "status": "owner_approval_pending",
        "expires_in": 600,
    }
    assert asking.poll(browser, request_id) == {"status": "pending", "waiting_for": "owner"}
    assert asking.answer(request_id).json()["status"] == "owner_approval_pending"  # idempotent
    question = of_request(asking, request_id)
    approve(asking, question)
    polled = asking.poll(browser, request_id)
    assert polled["status"] == "authenticated"
    assert asking.answer(request_id).json()["status"] == "authenticated"
    tokens = asking.redeem(polled["code"]).json()
    claims = asking.verified(tokens["id_token"], asking.shop.client_id)
    assert (claims["sub"], claims["amr"]) == (asking.agent.agent_id, ["pwd", "user", "otp"])
    assert outcomes(asking) == ["asked", "approved"]


def test_the_question_says_who_asks_for_what_and_from_where(asking: World) -> None:
    _, question = waiting(asking)
    assert question.owner == ANN
    assert (question.agent_id, question.model) == (asking.agent.agent_id, "claude-test")
    assert (question.website, question.origin) == ("The Shop", "https://shop.example")
    assert (question.kind, question.act, question.amr) == ("sign-in", None, "pwd")
    assert question.address == "testclient"
    assert question.expires_at - question.asked_at == 600


def test_the_owner_has_the_whole_time_however_late_the_agent_came(asking: World) -> None:
    browser = asking.browser()
    request_id = asking.open(browser)
    asking.clock.forward(590)
    assert asking.answer(request_id).json()["expires_in"] == 600
    asking.clock.forward(590)
    approve(asking, of_request(asking, request_id))
    assert asking.poll(browser, request_id)["status"] == "authenticated"


def test_denied_and_unanswered_requests_end_with_their_own_errors(asking: World) -> None:
    browser, question = waiting(asking)
    deny(asking, question)
    told = asking.poll(browser, question.request_id)
    assert (told["status"], told["error"]) == ("error", "access_denied")
    assert "error=access_denied" in told["location"]
    assert told["location"].startswith("https://shop.example/callback?keep=a%20b&")
    way_on = browser.get("/authorize/continue", params={"request_id": question.request_id})
    assert way_on.headers["location"] == told["location"]  # without JavaScript
    answer = asking.answer(question.request_id)
    assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")
    browser, question = waiting(asking)
    asking.clock.forward(601)
    told = asking.poll(browser, question.request_id)
    assert (told["status"], told["error"]) == ("error", "expired")
    assert "error=expired" in told["location"]
    assert "location" not in asking.poll(asking.browser(), question.request_id)  # not to others
    assert asking.answer(question.request_id).status_code == 404
    assert expire(asking) == 1
    assert expire(asking) == 0
    assert outcomes(asking) == ["asked", "denied", "asked", "expired"]


def test_another_agent_cannot_answer_what_waits_for_an_owner(asking: World) -> None:
    _, question = waiting(asking)
    answer = asking.answer(question.request_id, asking.careful, expected_origin=question.origin)
    assert (answer.status_code, answer.json()["error"]) == (409, "already_answered")


@pytest.mark.parametrize("end", ["approved", "denied", "withdrawn", "expired"])
def test_an_answered_question_takes_no_other_answer(asking: World, end: str) -> None:
    browser, question = waiting(asking)
    if end == "approved":
        approve(asking, question)
    elif end == "denied":
        deny(asking, question)
    elif end == "withdrawn":
        browser.post("/authorize/cancel", data={"request_id": question.request_id})
    else:
        asking.clock.forward(600)
    assert status(asking, question) == end
    before = outcomes(asking)
    for answer in (approve, deny):
        with refused(f"is already {end}"):
            answer(asking, question)
    assert outcomes(asking) == before


def test_only_the_agents_owner_can_answer(asking: World) -> None:
    _, question = waiting(asking)
    eve = state.Answered(by="eve@owner.example", how="mail")
    with refused("Only the owner"):
        approve(asking, question, eve)
    with refused("Only the owner"):
        deny(asking, question, "eve@owner.example")
    # The agent was given to somebody else meanwhile.
    assert agents.change_agent(
        asking.database, asking.agent.agent_id, 1, email="new@owner.example", email_verified=True
    )
    with refused("Only the owner"):
        approve(asking, question)
    assert status(asking, question) == "waiting"


def test_an_agent_that_its_owner_has_not_confirmed_cannot_be_approved(own_world: World) -> None:
    setting(own_world, "first", own_world.rival.agent_id)
    request_id = own_world.open(own_world.browser())
    answer = own_world.answer(request_id, own_world.rival)
    assert (answer.status_code, answer.json()["error"]) == (403, "approval_unavailable")
    assert of_request(own_world, request_id) is None


def test_disabling_an_agent_ends_what_waits_for_its_owner(asking: World) -> None:
    browser, question = waiting(asking)
    assert endings.disable_agent(asking.database, asking.agent.agent_id, asking.context.now())
    assert status(asking, question) == "withdrawn"
    assert asking.poll(browser, question.request_id)["error"] == "access_denied"
    assert agents.enable_agent(asking.database, asking.agent.agent_id, asking.context.now())
    with refused("withdrawn"):
        approve(asking, question)


def test_first_asks_once_for_each_website_and_always_until_told_otherwise(
    own_world: World,
) -> None:
    setting(own_world, "first")
    _, question = waiting(own_world)
    approve(own_world, question)
    assert own_world.answer(own_world.open(own_world.browser())).json()["status"] == "authenticated"
    client_id = own_world.other.client_id
    other = {"client_id": client_id, "redirect_uri": "https://other.example/"}
    _, question = waiting(own_world, **other)
    deny(own_world, question)
    waiting(own_world, **other)  # a denial is remembered for nobody
    setting(own_world, "always")
    _, question = waiting(own_world)
    approve(own_world, question, always=True)
    assert own_world.answer(own_world.open(own_world.browser())).json()["status"] == "authenticated"


def test_the_servers_default_counts_where_an_agent_has_no_setting(build: Build) -> None:
    world = build(approval="always")
    waiting(world)
    setting(world, "off")
    assert world.answer(world.open(world.browser())).json()["status"] == "authenticated"
    with pytest.raises(ValueError, match="choose one of off, notify, first, always"):
        setting(world, "sometimes")


def test_an_agent_has_three_open_questions_at_most(asking: World) -> None:
    for _ in range(state.MOST_OPEN):
        waiting(asking)
    browser = asking.browser()
    request_id = asking.open(browser)
    answer = asking.answer(request_id)
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many_requests")
    assert answer.headers["retry-after"] == "600"
    assert asking.poll(browser, request_id) == {"status": "pending"}  # nothing was kept of it


def test_one_agent_leaves_room_for_the_others_of_its_owner(asking: World) -> None:
    """Ten questions of one agent in an hour, thirty of all of them together."""
    now = asking.context.now()
    others = [agents.add_agent(asking.database, ANN, model="m", now=now) for _ in range(3)]

    def asks(who: agents.AgentCredentials) -> Any:
        setting(asking, "always", who.agent_id)
        answer = asking.answer(asking.open(asking.browser()), who)
        if answer.status_code == 200:
            with asking.database.read() as connection:
                (question,) = questions.list_waiting(connection, ANN, asking.context.now())
            deny(asking, question)
        return answer

    def refused_to(who: agents.AgentCredentials, words: str) -> None:
        answer = asks(who)
        assert (answer.status_code, answer.json()["error"]) == (429, "too_many_attempts")
        assert words in answer.json()["error_description"]
        assert answer.headers["retry-after"] == "3600"

    for who in (asking.agent, *others[:2]):
        assert [asks(who).status_code for _ in range(10)] == [200] * 10
        refused_to(who, "This agent has asked its owner 10 times")
    refused_to(others[2], "The agents of this owner have asked 30 times")
    asking.clock.forward(3600)
    assert asks(asking.agent).status_code == 200


def test_the_waiting_page_is_told_how_long_the_owner_has(build: Build) -> None:
    world = build(approval_lifetime=900)
    setting(world, "always")
    browser, question = waiting(world)
    asked = {"request_id": question.request_id, "page": "1"}
    told = browser.get("/api/check-status", params=asked).json()
    assert (told["waiting_for"], told["is_known"], told["expires_in"]) == ("owner", True, 900)


def test_approvals_are_kept_as_long_as_the_audit_and_the_rest_is_forgotten(
    asking: World,
) -> None:
    (_, approved), (_, denied) = waiting(asking), waiting(asking)
    approve(asking, approved)
    deny(asking, denied)
    day, kept = 86_400, asking.context.settings
    now = asking.context.now()
    asking.context.sweeper.sweep(now + kept.refusal_retention - day)
    assert of_request(asking, denied.request_id) is not None
    asking.context.sweeper.sweep(now + kept.refusal_retention + day)
    assert of_request(asking, denied.request_id) is None
    assert of_request(asking, approved.request_id) is not None


Move = Callable[[World, Any], object]


def _disable(world: World, _question: Any) -> None:
    endings.disable_agent(world.database, world.agent.agent_id, world.context.now())


def _cancel(world: World, question: Any) -> None:
    """Cancels in the browser, by its own cookie."""
    question.browser.post("/authorize/cancel", data={"request_id": question.request_id})


class _Waiting:
    """A question, and the browser that waits for it."""

    def __init__(self, browser: Any, question: Any) -> None:
        self.browser = browser
        for name in question._fields:
            setattr(self, name, getattr(question, name))


def _race(moves: list[tuple[World, Move]], question: Any) -> int:
    """Makes the moves at once; the number of them that were not refused."""

    def make(move: tuple[World, Move]) -> bool:
        try:
            move[1](move[0], question)
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(len(moves)) as pool:
        return sum(pool.map(make, moves))


def test_many_approvals_at_two_servers_approve_once(build: Build) -> None:
    one, two = build(), build()
    setting(one, "always")
    for _ in range(5):
        browser, question = waiting(one)
        assert _race([(one, approve), (two, approve)] * 4, question) == 1
        assert one.poll(browser, question.request_id)["status"] == "authenticated"
    assert outcomes(one) == ["asked", "approved"] * 5
    assert outcomes(one, "approval") == ["approved"] * 5


@pytest.mark.parametrize("rival", [deny, _disable, _cancel])
def test_an_approval_races_with_whatever_ends_the_question(build: Build, rival: Move) -> None:
    """Ends with the same outcome in the audit, the question and the sign-in."""
    one, two = build(), build()
    setting(one, "always")
    for turn in range(8):
        browser, question = waiting(one)
        moves: list[tuple[World, Move]] = [(one, approve), (two, rival)]
        _race(moves if turn % 2 else moves[::-1], _Waiting(browser, question))
        end, polled = status(one, question), one.poll(browser, question.request_id)
        assert outcomes(one).count(end) + outcomes(one).count("asked") >= 2
        assert len(outcomes(one)) == 2 * (turn + 1)
        if end == "approved":
            assert polled["status"] == "authenticated"
            redeemed = one.redeem(polled["code"]).status_code
            assert redeemed == (400 if rival is _disable else 200)
        else:
            assert polled["error"] == "access_denied"
            assert "code" not in polled
        agents.enable_agent(one.database, one.agent.agent_id, one.context.now())


def test_an_approval_races_with_expiry(build: Build) -> None:
    one, two = build(), build()
    setting(one, "always")
    for _ in range(5):
        browser, question = waiting(one)
        for world in (one, two):
            world.clock.forward(600)
        _race([(one, approve), (two, lambda world, _question: expire(world))], question)
        assert status(one, question) == "expired"
        assert one.poll(browser, question.request_id)["error"] == "expired"
        assert expire(one) == 0


def test_a_ciba_approval_is_taken_once_and_soon(asking: World) -> None:
    """Redeems the approval itself: a request without a browser has no code."""
    question = state.Question(
        kind=state.CIBA,
        request_id="ciba_1",
        agent_id=asking.agent.agent_id,
        owner=ANN,
        model="m",
        amr="pwd",
        scope="openid",
        client_id=asking.shop.client_id,
        website="The Shop",
        origin="https://shop.example",
        audience="https://shop.example",
        act='[{"type":"payment","title":"Pay"}]',
    )
    now = asking.context.now()
    with asking.database.begin() as connection:
        assert state.hold_agent(connection, question.agent_id, question.owner)
        assert state.ask(connection, question, now, now + 600)
    with asking.database.begin() as connection:
        assert not state.take(connection, question, now)
    approve(asking, question)
    with asking.database.begin() as connection:
        assert not state.take(connection, question, now + state.TAKE_WITHIN)
        assert state.take(connection, question, now)
        assert not state.take(connection, question, now)
    assert status(asking, question) == "taken"
    assert outcomes(asking) == ["asked", "approved", "taken"]


def test_a_website_that_asks_for_more_than_was_approved_is_asked_about_again(
    own_world: World,
) -> None:
    for approval, always in (("first", False), ("always", True)):
        setting(own_world, approval)
        _, question = waiting(own_world, scope="openid" if approval == "first" else "openid email")
        approve(own_world, question, always=always)
        again = own_world.open(own_world.browser(), scope=question.scope)
        assert own_world.answer(again).json()["status"] == "authenticated"
        _, more = waiting(own_world, scope=f"{question.scope} profile")
        deny(own_world, more)
        again = own_world.open(own_world.browser(), scope=question.scope)
        assert own_world.answer(again).json()["status"] == "authenticated"
    _, more = waiting(own_world, scope="openid email profile")
    approve(own_world, more, always=False)
    again = own_world.open(own_world.browser(), scope="openid profile")
    assert own_world.answer(again).json()["status"] == "authenticated"


def test_a_program_is_approved_for_the_api_that_the_owner_saw(own_world: World) -> None:
    now, callback = own_world.context.now(), "http://127.0.0.1:5000/callback"
    apis = ["https://notes.example/mcp", "https://bank.example/mcp"]
    for url in apis:
        add_resource(own_world.database, url, now=now, scopes=["openid"])
    program = clients.add_client(own_world.database, "Editor", [callback], public=True, now=now)
    about = {"client_id": program.client_id, "redirect_uri": callback}
    for approval in ("first", "always"):
        setting(own_world, approval)
        _, question = waiting(own_world, **about, resource=apis[0])
        assert question.audience == apis[0]
        approve(own_world, question, always=approval == "always")
        again = own_world.open(own_world.browser(), **about, resource=apis[0])
        assert own_world.answer(again).json()["status"] == "authenticated"
        for other in (apis[1], apis):
            _, more = waiting(own_world, **about, resource=other)
            deny(own_world, more)


def test_the_short_code_of_a_request_never_changes() -> None:
    """Shows the same letters on the waiting page and in older mail, whatever computes them."""
    assert questions.short_code("req_1") == "37T-343"
