"""The agent's owner in a browser: opens the link of the mail, signs in by code, approves."""

from __future__ import annotations

import re

import httpx2

from auth_agent.cli.demo.narrator import DemoFailed, Narrator
from auth_agent.cli.demo.stage import OWNER, Stage, new_client
from auth_agent.server.outbound.mail import Mail

APPROVE = "/owner/question/approve"
ANSWERS = (APPROVE, "/owner/question/deny", "/owner/question/block")
_LINK = re.compile(r"https?://\S+/owner/question\?id=\S+")
_CODE = re.compile(r"\b\d{8}\b")
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


def link_of(mail: Mail) -> str:
    """Returns the address of the question that a mail tells of."""
    return _found(_LINK, mail.text, "link to a question")


def approve(stage: Stage, mail: Mail, narrator: Narrator) -> None:
    """Approves what the mail asks, as a person would."""
    link = link_of(mail)
    with new_client(stage.server) as client:
        browser = _Browser(client, narrator)
        entrance = str(browser.open(link).headers.get("location", ""))
        narrator.say("     the link alone opens nothing: the owner signs in with a mailed code")
        page = browser.send(entrance, "/owner/sign-in", email=OWNER, next=_next(link))
        code = stage.postbox.take()
        narrator.mail(code)
        typed = {"id": page.url.params["id"], "code": _found(_CODE, code.text, "code")}
        browser.send(str(page.url), "/owner/code", **typed, next=_next(link))
        question = link.partition("id=")[2]
        browser.send(link, APPROVE, id=question, decision="approve")


class _Browser:
    """Opens pages and sends their forms; narrates both."""

    def __init__(self, client: httpx2.Client, narrator: Narrator) -> None:
        self._client = client
        self._narrator = narrator

    def open(self, url: str) -> httpx2.Response:
        answer = self._client.get(url)
        shown = str(answer.url).partition("?")[0]
        self._narrator.exchange("GET", shown, answer.status_code)
        return answer

    def send(self, page: str, path: str, **fields: str) -> httpx2.Response:
        """Sends a form of a page; returns the page that it leads to."""
        form = self._client.get(page)
        token = _found(_TOKEN, form.text, "form")
        origin = {"Sec-Fetch-Site": "same-origin"}
        answer = self._client.post(path, data={"form_token": token, **fields}, headers=origin)
        self._narrator.exchange("POST", str(answer.url), answer.status_code)
        if answer.status_code != 303:
            raise DemoFailed(f"The owner's form was refused: {answer.url}")
        return self._client.get(answer.headers["location"])


def _next(link: str) -> str:
    return link[link.index("/owner/") :]


def _found(pattern: re.Pattern[str], text: str, what: str) -> str:
    found = pattern.search(text)
    if found is None:
        raise DemoFailed(f"There should be a {what}, and there is none.")
    return found[1] if pattern.groups else found[0]
