"""The chapter of the owner: an act of the agent waits until its owner has approved it."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING

from auth_agent.cli.demo.narrator import Narrator
from auth_agent.cli.demo.owner import ANSWERS, APPROVE, approve, link_of
from auth_agent.cli.demo.stage import OWNER, Stage
from auth_agent.cli.demo.watch import Exchange
from auth_agent.errors import AuthError
from auth_agent.sdk import AgentSDK, Step

if TYPE_CHECKING:
    import httpx2

    from auth_agent.server.outbound.mail import Mail

PATH = "/orders/1001/pay"
PERSON_SECONDS = 300


def ask_the_owner(
    stage: Stage, sdk: AgentSDK, client: httpx2.Client, narrator: Narrator, *, person: bool
) -> None:
    """Narrates a payment that needs the owner's approval; a `person` may be the owner."""
    narrator.chapter("The agent wants to pay, and its owner is asked")
    page = f"{stage.website}{PATH}"
    refusal = client.post(PATH)
    narrator.exchange("POST", page, refusal.status_code)
    content = refusal.json()
    needed = content.get("error") == "insufficient_authorization"
    narrator.check("refused: signed in is not enough, the owner has to approve", holds=needed)
    for name, value in content["authorization_details"][0].items():
        narrator.value(name, value)
    narrator.say("The agent follows approval_url of the answer, in its own session:")
    owner = _Owner(stage, narrator, person=person)
    try:
        sdk.sign_in(content["approval_url"], on_step=owner.hear)
    except AuthError as error:
        if not owner.said_no:
            raise
        narrator.check(f"the agent gets this error: {error.description}", holds=True)
        is_undone = client.post(PATH).status_code == 401
        narrator.check("and nothing was paid", holds=is_undone)
        stage.watch.take()
        return
    paid = client.post(PATH)
    narrator.exchange("POST", page, paid.status_code)
    done = paid.status_code == 200 and paid.json().get("paid") == "24.30"
    narrator.check("paid: the payment equals what the owner saw, field by field", holds=done)
    again = client.post(PATH)
    narrator.exchange("POST", page, again.status_code)
    narrator.check("an approval is valid for one payment", holds=again.status_code == 401)
    stage.watch.take()  # narrated by those who asked


class _Owner:
    """Answers when the agent's step says that the owner was asked."""

    def __init__(self, stage: Stage, narrator: Narrator, *, person: bool) -> None:
        self._stage = stage
        self._narrator = narrator
        self._person = person and can_wait()
        self._answered = threading.Event()
        self.said_no = False

    def hear(self, step: Step) -> None:
        if step.action == "signed_in":
            self._narrator.check("the session carries the approval, for this one act", holds=True)
            return
        self._narrator.step(step)
        if step.action == "owner_asked":
            self._answer()

    def _answer(self) -> None:
        mail = self._stage.postbox.take()
        self._narrator.mail(mail)
        if self._person:
            self._stage.watch.on_exchange = self._note
            self._stage.postbox.on_mail = self._narrator.mail
            try:
                is_answered = self._wait(mail)
            finally:
                self._stage.watch.on_exchange = self._stage.postbox.on_mail = None
            if is_answered:
                self._narrator.say("You have answered.")
                return
        self._narrator.say("The demo answers in the owner's place now, as a browser would:")
        approve(self._stage, mail, self._narrator)
        self._narrator.check(
            "approved by the owner; agent and website did not see the owner's code or page",
            holds=True,
        )

    def _wait(self, mail: Mail) -> bool:
        """Returns True if a person has answered; Enter and time both end the waiting."""
        self._narrator.say(f"You are the owner, {OWNER}. Open this link; the code that you are")
        self._narrator.say("mailed appears here. Or press Enter, and the demo answers for you.")
        self._narrator.exchange("OPEN", link_of(mail), None)
        until = time.monotonic() + PERSON_SECONDS
        while time.monotonic() < until:
            if self._answered.wait(0.1):
                return True
            if select.select([sys.stdin], [], [], 0)[0]:
                sys.stdin.readline()
                return self._answered.is_set()
        return self._answered.is_set()

    def _note(self, exchange: Exchange) -> None:
        if exchange.path not in ANSWERS or exchange.status != 303:
            return
        self.said_no = exchange.path != APPROVE
        self._answered.set()


def can_wait() -> bool:
    """Returns True if a person can press Enter here."""
    return os.name == "posix" and sys.stdin is not None and sys.stdin.isatty()
