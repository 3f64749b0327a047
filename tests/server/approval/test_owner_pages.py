"""The owner's pages: what waits, what is shown of it, the answers, and the mails to them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import update

from auth_agent.secret import Secret
from auth_agent.server.console.owners.questions import subject
from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.resources import add_resource
from auth_agent.server.storage.tables.sign_ins import sign_in
from tests.server.approval.owners import (
    ISSUER,
    Owner,
    Postbox,
    add_passkey,
    approve,
    by_mail,
    passkey_form,
    with_passkey,
)
from tests.server.approval.owners import (
    sign_in as sign_in_with,
)
from tests.server.approval.test_questions import of_request, outcomes, setting, status, waiting
from tests.server.conftest import Build
from tests.server.console.test_owners import ask, type_code
from tests.server.people import Person
from tests.server.world import REDIRECT, World

PAY = [{"type": "payment", "title": "Pay 45.00 EUR <b>", "amount": "45.00", "to": ["a", "b"]}]


@pytest.fixture
def box() -> Postbox:
    return Postbox()


@pytest.fixture
def own_world(build: Build, box: Postbox) -> World:
    """Starts a server with a name, whose mail goes into the box; Ann is asked always."""
    world = build(issuer=ISSUER, outbox=box, smtp_url=Secret("smtps://mail.example"))
    setting(world, "always")
    return world


def test_the_mail_links_to_the_question_and_opening_it_decides_nothing(
    own_world: World, box: Postbox
) -> None:
    _, question = waiting(own_world)
    mail = box.mails[-1]
    assert mail.to == "ann@owner.example"
    assert "https://shop.example" in mail.text
    link = re.search(rf"{ISSUER}(/owner/question\?id=\S+)", mail.text)
    assert link
    before = outcomes(own_world)
    stranger = Owner(own_world)
    answer = stranger.http.get(link[1])
    assert answer.headers["location"] == "/owner/sign-in?next=%2Fowner%2Fquestion%3Fid%3D" + (
        question.id
    )
    ann = by_mail(own_world, box)
    for _ in range(2):
        assert ann.http.get(link[1]).status_code == 200
    assert status(own_world, question) == "waiting"
    assert outcomes(own_world) == before


def test_signing_in_leads_on_to_the_question(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    person, target = Owner(own_world), "/owner/question?id=ask_1"
    page = "/owner/sign-in?next=" + target
    options, fields = passkey_form(person, page, "/owner/sign-in/passkey")
    assert fields["next"] == target
    credential = device.get(options)
    answer = person.post("/owner/sign-in/passkey", **{**fields, "credential": credential})
    assert answer.headers["location"] == target
    other = Owner(own_world)
    answer = other.send("/owner/sign-in", email="ann@owner.example", next=target)
    code = other.send(
        answer.headers["location"],
        "/owner/code",
        next=target,
        code=box.code,
        **{"id": answer.headers["location"].partition("id=")[2].partition("&")[0]},
    )
    assert code.headers["location"] == target
    for wrong in (
        "https://evil.example/owner",
        "//evil.example",
        "/console",
        "/owner?x=//",
        "/ownery",
    ):
        _, fields = passkey_form(person, "/owner/sign-in?next=" + wrong, "/owner/sign-in/passkey")
        assert fields["next"] == "", wrong


@pytest.mark.parametrize("root", ["/owner", "/owners", "/id/owner"])
@pytest.mark.parametrize("is_stripped", [False, True])
def test_signing_in_leads_on_below_a_path_that_looks_like_this_one(
    build: Build, root: str, *, is_stripped: bool
) -> None:
    world = build(issuer=f"{ISSUER}{root}")
    path = "/owner/question?id=ask_1"
    answer = world.browser().get(path if is_stripped else root + path)
    wanted = f"{root}/owner/sign-in?next=%2Fowner%2Fquestion%3Fid%3Dask_1"
    assert answer.headers["location"] == wanted


def test_the_inbox_and_the_question_show_what_is_asked(own_world: World, box: Postbox) -> None:
    _, question = waiting(own_world)
    ann = by_mail(own_world, box)
    assert f"/owner/question?id={question.id}" in ann.get("/owner").text
    text = ann.get("/owner/question", id=question.id).text
    for shown in ("https://shop.example", "The Shop", own_world.agent.agent_id, "claude-test"):
        assert shown in text
    assert ann.send(f"/owner/question?id={question.id}", "/owner/question/deny", id=question.id)
    assert question.id not in ann.get("/owner").text
    history = ann.get("/owner/history").text
    assert question.id in history
    assert "denied" in history


def asks_for_act(world: World, details: list[dict[str, Any]] = PAY) -> tuple[Any, Any]:
    """Opens a sign-in whose website asks for acts; it needs no setting of the owner."""
    setting(world, "off")
    return waiting(world, authorization_details=json.dumps(details))


def test_an_act_is_shown_whole_and_never_approved_for_always(
    own_world: World, box: Postbox
) -> None:
    browser, question = asks_for_act(own_world)
    ann = by_mail(own_world, box)
    text = ann.get("/owner/question", id=question.id).text
    assert "Pay 45.00 EUR &lt;b&gt;" in text
    for shown in ("payment", "amount", "45.00", "[&#34;a&#34;,&#34;b&#34;]"):
        assert shown in text
    assert "Always for this website" not in text
    page, action = f"/owner/question?id={question.id}", "/owner/question/approve"
    assert ann.send(page, action, id=question.id, decision="always").status_code == 400
    assert ann.send(page, action, id=question.id, decision="approve").status_code == 303
    code = own_world.poll(browser, question.request_id)["code"]
    (granted,) = own_world.redeem(code).json()["authorization_details"]
    assert granted["approval_id"] == question.id
    assert granted["approved_at"] == own_world.context.now()
    assert {name: granted[name] for name in PAY[0]} == PAY[0]
    again = own_world.open(own_world.browser(), authorization_details=json.dumps(PAY))
    assert own_world.answer(again).json()["status"] == "owner_approval_pending"  # each act anew


def test_hostile_names_stay_text_on_pages_and_one_line_in_mails(
    own_world: World, box: Postbox
) -> None:
    hostile = "<script>alert(1)</script>\u202e" + "x" * 100
    request_id = own_world.open(own_world.browser())
    with own_world.database.begin() as connection:
        statement = update(sign_in).where(sign_in.c.id == request_id)
        connection.execute(statement.values(document_name=hostile))
    assert own_world.answer(request_id, model="m<i>").json()["success"]
    question = of_request(own_world, request_id)
    ann = by_mail(own_world, box)
    text = ann.get("/owner/question", id=question.id).text
    assert "<script>alert" not in text
    assert "m&lt;i&gt;" in text
    assert "\u202e" not in box.mails[0].text


def test_always_asks_no_more_until_the_owner_wants_to_be_asked_again(
    own_world: World, box: Postbox
) -> None:
    device = add_passkey(by_mail(own_world, box))
    _, question = waiting(own_world)
    ann = with_passkey(own_world, device)
    assert approve(ann, question.id, device, "always").status_code == 303
    assert own_world.answer(own_world.open(own_world.browser())).json()["status"] == "authenticated"
    page = f"/owner/agent?id={own_world.agent.agent_id}"
    assert "always, <time" in ann.http.get(page).text
    website = {"client": own_world.shop.client_id, "origin": "https://shop.example"}
    about = {"id": own_world.agent.agent_id, **website}
    assert ann.send(page, "/owner/agent/ask-again", **about).status_code == 303
    waiting(own_world)
    assert "always, <time" not in ann.http.get("/owner/websites").text
    assert "https://shop.example" in ann.http.get("/owner/websites").text
    wrong = {**about, "client": "other"}
    assert ann.send(page, "/owner/agent/ask-again", **wrong).status_code == 404


def test_an_owner_changes_when_to_be_asked(own_world: World, box: Postbox) -> None:
    ann, agent_id = by_mail(own_world, box), own_world.agent.agent_id
    page = f"/owner/agent?id={agent_id}"
    answer = ann.send(page, "/owner/agent/approval", id=agent_id, approval="off")
    assert answer.status_code == 303
    assert own_world.answer(own_world.open(own_world.browser())).json()["status"] == "authenticated"
    wrong = ann.send(page, "/owner/agent/approval", id=agent_id, approval="sometimes")
    assert wrong.status_code == 400
    eves = ann.send(page, "/owner/agent/approval", id=own_world.careful.agent_id, approval="off")
    assert eves.status_code == 404


def test_a_first_sign_in_is_told_once_with_a_link_that_ends_it(
    own_world: World, box: Postbox
) -> None:
    setting(own_world, "notify")
    token = own_world.tokens()["access_token"]
    assert [mail.subject for mail in box.mails] == [
        "Your agent has signed in to https://shop.example"
    ]
    own_world.tokens()
    assert len(box.mails) == 1
    link = re.search(rf"{ISSUER}(/owner/end\?token=\S+)", box.mails[0].text)
    assert link
    person = Owner(own_world)
    for _ in range(2):
        assert person.http.get(link[1]).status_code == 200
    assert own_world.introspect(token)["active"] is True
    secret = link[1].partition("token=")[2]
    assert person.post("/owner/end", token=secret).status_code == 403  # not from our page
    ended = person.send(link[1], "/owner/end", token=secret)
    assert "The sign-in is ended" in ended.text
    assert own_world.introspect(token)["active"] is False
    assert person.send(link[1], "/owner/end", token="x" * 43).status_code == 410
    own_world.clock.forward(31 * 86_400)
    assert person.http.get(link[1]).status_code == 410


def test_a_server_without_a_mail_server_gives_no_notice(build: Build, box: Postbox) -> None:
    world = build(outbox=box)  # a developer's, whose mail is printed
    world.tokens()
    assert box.mails == []


def test_no_notice_goes_to_an_address_that_nobody_confirmed(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    assert own_world.answer(request_id, own_world.rival).json()["status"] == "authenticated"
    assert box.mails == []


def test_notices_of_one_agent_are_bounded(own_world: World, box: Postbox) -> None:
    from auth_agent.server.registry import clients

    setting(own_world, "notify")
    for number in range(22):
        made = clients.add_client(
            own_world.database, f"S{number}", [REDIRECT], now=own_world.context.now()
        )
        request_id = own_world.open(own_world.browser(), client_id=made.client_id)
        assert own_world.answer(request_id).json()["status"] == "authenticated"
    subjects = [mail.subject for mail in box.mails]
    assert subjects[:20] == ["Your agent has signed in to https://shop.example"] * 20
    assert subjects[20:] == ["Your agent signs in at many new places"]
    # What was not told stays new, and is told later.
    own_world.clock.forward(3600)
    request_id = own_world.open(own_world.browser(), client_id=made.client_id)
    assert own_world.answer(request_id).json()["status"] == "authenticated"
    assert len(box.mails) == 22


def test_the_first_token_of_its_own_for_an_api_is_told_once_with_a_link_that_ends_it(
    own_world: World, box: Postbox
) -> None:
    from auth_agent.server.registry.resources import add_resource

    invoices, notes = "https://invoices.example/mcp", "https://notes.example/api"
    add_resource(own_world.database, invoices, name="Invoices", now=own_world.context.now())
    setting(own_world, "notify")
    ann = (own_world.agent.agent_id, own_world.agent.agent_secret.reveal())

    def token(*resources: str) -> str:
        form = {"grant_type": "client_credentials", "resource": [*resources]}
        answer = own_world.browser().post("/token", data=form, auth=ann)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    token(ISSUER)  # the agent's own server is no new place
    assert box.mails == []
    both = token(invoices, notes)
    assert [mail.subject for mail in box.mails] == [
        f"Your agent has got access to {url}" for url in (invoices, notes)
    ]
    only_notes = token(notes)
    assert len(box.mails) == 2
    link = re.search(rf"{ISSUER}(/owner/end\?token=\S+)", box.mails[0].text)
    assert link
    person = Owner(own_world)
    page = person.http.get(link[1])
    assert "by itself" in page.text
    assert invoices in page.text
    ended = person.send(link[1], "/owner/end", token=link[1].partition("token=")[2])
    assert "The access is ended" in ended.text
    assert own_world.userinfo(both).status_code == 401
    assert own_world.userinfo(only_notes).status_code == 200
    setting(own_world, "off")
    token("https://third.example")
    assert len(box.mails) == 2


# A person in front of the waiting page.


def opened(world: World, **changes: Any) -> tuple[Person, str]:
    person = Owner(world)
    return person, world.open(person.http, **changes)


def my_agent(world: World, person: Person, request_id: str, device: Any, **changes: Any) -> Any:
    page = f"/owner/request?id={request_id}&agent={world.agent.agent_id}"
    options, fields = passkey_form(person, page, "/owner/request/approve")
    credential = device.get(options)
    return person.post("/owner/request/approve", **{**fields, "credential": credential, **changes})


def test_an_owner_signs_in_for_an_agent_that_only_opened_a_browser(
    own_world: World, box: Postbox
) -> None:
    device = add_passkey(by_mail(own_world, box))
    person, request_id = opened(own_world)
    assert (
        f"/owner/request?id={request_id}"
        in person.http.get(f"/authorize/continue?request_id={request_id}").text
    )
    assert sign_in_with(person, device).status_code == 303
    chooser = person.get("/owner/request", id=request_id).text
    assert own_world.agent.agent_id in chooser
    assert own_world.careful.agent_id not in chooser
    answer = my_agent(own_world, person, request_id, device)
    assert answer.headers["location"] == f"/authorize/continue?request_id={request_id}"
    back = person.http.get(answer.headers["location"]).headers["location"]
    assert back.startswith("https://shop.example/callback?keep=a%20b&code=")
    code = own_world.poll(person.http, request_id)["code"]
    claims = own_world.verified(own_world.redeem(code).json()["id_token"], own_world.shop.client_id)
    assert claims["sub"] == own_world.agent.agent_id
    assert claims["amr"] == ["user", "hwk", "mfa"]
    assert claims["acr"] == "urn:auth-agent:owner"
    assert claims["model"] == "registered-model"
    assert outcomes(own_world) == ["asked", "approved"]
    assert my_agent_is_over(person, request_id)


def my_agent_is_over(person: Person, request_id: str) -> bool:
    return bool(person.get("/owner/request", id=request_id).status_code == 410)


def test_a_page_that_another_browser_has_opened_is_nobodys(own_world: World, box: Postbox) -> None:
    """Approves nothing for a sign-in that someone else began and sent as a link."""
    device = add_passkey(by_mail(own_world, box))
    _, request_id = opened(own_world)
    victim = with_passkey(own_world, device)
    assert victim.get("/owner/request", id=request_id).status_code == 404
    about = {"id": request_id, "agent": own_world.agent.agent_id, "credential": ""}
    assert victim.send("/owner", "/owner/request/approve", **about).status_code == 404


def test_only_an_own_enabled_agent_can_be_chosen(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    person, request_id = opened(own_world)
    sign_in_with(person, device)
    stolen = my_agent(own_world, person, request_id, device, agent=own_world.careful.agent_id)
    assert stolen.status_code == 404
    agents.change_agent(own_world.database, own_world.agent.agent_id, 1, email="x@owner.example")
    gone = {"id": request_id, "agent": own_world.agent.agent_id, "credential": ""}
    assert person.send("/owner", "/owner/request/approve", **gone).status_code == 404
    assert own_world.poll(person.http, request_id) == {"status": "pending"}


def test_what_an_agent_has_asked_already_is_answered_there(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    person, request_id = opened(own_world)
    own_world.answer(request_id)
    question = of_request(own_world, request_id)
    sign_in_with(person, device)
    answer = person.get("/owner/request", id=request_id)
    assert answer.headers["location"] == f"/owner/question?id={question.id}"
    assert approve(person, question.id, device).status_code == 303
    assert own_world.poll(person.http, request_id)["status"] == "authenticated"


def test_an_act_is_approved_in_front_of_the_waiting_page(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    person, request_id = opened(own_world, authorization_details=json.dumps(PAY))
    sign_in_with(person, device)
    assert "Pay 45.00 EUR" in person.get("/owner/request", id=request_id).text
    assert my_agent(own_world, person, request_id, device).status_code == 303
    code = own_world.poll(person.http, request_id)["code"]
    (granted,) = own_world.redeem(code).json()["authorization_details"]
    assert granted["amount"] == "45.00"


def test_hidden_letters_of_an_act_are_shown(own_world: World, box: Postbox) -> None:
    act = {**PAY[0], "payee": "\u202eknab", "\u2066to": "a\u200bb\n", "who": {"\u202dx": "\u202e"}}
    act["for"] = "tea\u3164\U000e0141 ☕\ufe0f"
    _, question = asks_for_act(own_world, [act])
    text = by_mail(own_world, box).get("/owner/question", id=question.id).text
    assert not {*"\u202e\u2066\u200b\u202d\u3164\U000e0141"} & {*text}
    for shown in ("\\u202eknab", "\\u2066to", "a\\u200bb\\u000a", "\\u202dx"):
        assert shown in text
    assert "tea\\u3164\\ue0141 ☕\ufe0f" in text


def test_the_owner_sees_what_the_token_of_a_program_opens(own_world: World, box: Postbox) -> None:
    api, callback = "https://bank.example/mcp", "http://127.0.0.1:5000/callback"
    now = own_world.context.now()
    add_resource(own_world.database, api, now=now, scopes=["openid"])
    editor = clients.add_client(own_world.database, "Editor", [callback], public=True, now=now)
    changes = {"client_id": editor.client_id, "redirect_uri": callback, "resource": api}
    ann, request_id = opened(own_world, **changes)
    assert type_code(ann, ask(ann), box.code).status_code == 303
    page = ann.get("/owner/request", id=request_id, agent=own_world.agent.agent_id).text
    assert f'<strong class="origin">{api}</strong>' in page
    _, question = waiting(own_world, **changes)
    assert f"Access to: {api}\n" in box.mails[-1].text
    page = ann.get("/owner/question", id=question.id).text
    assert f'<strong class="origin">{api}</strong>' in page
    assert json.loads(subject(question, "approve"))["audience"] == api
