"""Prints the narration of the demo; every statement is checked before it is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from auth_agent.sdk import Step
    from auth_agent.server.outbound.mail import Mail


class DemoFailed(Exception):
    """The demo cannot go on; the message is for people."""


class Narrator:
    """Prints the narration; raises `DemoFailed` at the first thing that goes wrong."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapter = 0

    def chapter(self, title: str) -> None:
        self._chapter += 1
        self._print(f"\n{self._chapter}. {title}", style="bold")

    def say(self, text: str) -> None:
        self._print(f"   {text}", style="dim")

    def exchange(self, method: str, url: str, status: int | None, meaning: str = "") -> None:
        self._print(f"   {method:<4} {url}  {status or ''}", style="cyan")
        if meaning:
            self.say(f"     {meaning}")

    def check(self, claim: str, *, holds: bool) -> None:
        if not holds:
            self._print(f"   ✗ {claim}", style="bold red")
            raise DemoFailed(f"This did not happen: {claim}.")
        self._print(f"   ✓ {claim}", style="green")

    def value(self, name: str, value: str) -> None:
        self._print(f"   {name:<26} {value}")

    def step(self, step: Step) -> None:
        if step.action == "signed_in":
            self.check(step.text, holds=True)
            return
        if step.action == "owner_asked":  # said in the answer to the step before
            self.say(f"     {step.text}")
            return
        method = "POST" if step.action == "agent_proved" else "GET"
        self.exchange(method, step.url, step.status, step.text)

    def mail(self, mail: Mail) -> None:
        """Prints a mail of the server, which in the demo reaches this terminal only."""
        for line in (f"To: {mail.to}", f"Subject: {mail.subject}", "", *mail.text.splitlines()):
            self._print(f"   mail │ {line}", style="magenta")

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
