"""A server, a website and an agent that signs in, over real HTTP, step by step."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from auth_agent.cli.demo.bystander import answer_browsers
from auth_agent.cli.demo.narrator import DemoFailed, Narrator
from auth_agent.cli.demo.stage import MODEL, Stage, set_up
from auth_agent.cli.demo.story import narrate
from auth_agent.errors import AuthError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["DemoFailed", "run"]

INTERRUPTED = 130


def run(console: Console, *, once: bool) -> int:
    """Runs the demo and returns the exit code; raises `DemoFailed` if a step goes wrong."""
    is_over = False
    with _interruptible():
        try:
            with set_up() as stage:
                _narrate(stage, console, person=not once)
                is_over = True
                if once:
                    return 0
                _stay(stage, console)
                raise DemoFailed("The website's process has ended unexpectedly.")
        except KeyboardInterrupt:
            console.print("\nEverything has ended; nothing is left behind.", style="dim")
            return 0 if is_over and not once else INTERRUPTED


def _narrate(stage: Stage, console: Console, *, person: bool) -> None:
    try:
        narrate(stage, Narrator(console), person=person)
    except AuthError as error:
        raise DemoFailed(f"{error.code}: {error.description}") from error
    console.print("\nAll of it worked.", style="bold green")


def _stay(stage: Stage, console: Console) -> None:
    """Prints the addresses and waits for Ctrl-C."""
    agent = stage.agent
    lines = (
        ("\nLook around", "bold"),
        (f"   {stage.website}   the website: press its button, and the agent answers;", ""),
        ("      then let the agent pay, and answer as its owner: mail appears here", ""),
        (f"   {stage.server}   the server", ""),
        (f"   {stage.server}/.well-known/openid-configuration   its metadata", ""),
        ("\nSign in yourself, from another terminal", "bold"),
        (f"   export AUTH_AGENT_AGENT_SECRET={agent.agent_secret.reveal()}", ""),
        (
            f"   {_command()} login {stage.website}/me --agent-id {agent.agent_id} "
            f"--model {MODEL} --issuer {stage.server}",
            "",
        ),
        ("\nCtrl-C ends everything.", "dim"),
    )
    for text, style in lines:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    stage.postbox.on_mail = Narrator(console).mail
    with answer_browsers(stage, console):
        stage.ended()


def _command() -> str:
    """Returns the command to type here: with its path if no virtual environment is active."""
    typed = Path(sys.argv[0])
    is_found = shutil.which("auth-agent") is not None or typed.stem != "auth-agent"
    return "auth-agent" if is_found else str(typed)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ends the demo once, in the same way, on Ctrl-C, a closed terminal or SIGTERM."""
    known = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        known.append(signal.SIGHUP)

    def interrupt(_number: int, _frame: object) -> None:
        for number in known:
            signal.signal(number, signal.SIG_IGN)  # the clean-up is not interrupted
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, interrupt)) for number in known]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
