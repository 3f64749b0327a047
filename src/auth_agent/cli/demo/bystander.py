"""The agent that answers the waiting pages of browsers during the demo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from auth_agent.cli.demo.stage import MODEL, Stage, new_client
from auth_agent.errors import AuthError
from auth_agent.sdk.exchange.journey import Journey
from auth_agent.sdk.flow import drive
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in.website import answer

if TYPE_CHECKING:
    from rich.console import Console

PAUSE_SECONDS = 1.5  # so that the waiting page can be seen


@contextmanager
def answer_browsers(stage: Stage, console: Console) -> Iterator[None]:
    """Answers each waiting browser in its own thread, until the demo ends."""

    def say(text: str, style: str = "") -> None:
        console.print(f"   {text}", style=style, markup=False, highlight=False, soft_wrap=True)

    options = Options(
        agent_id=stage.agent.agent_id,
        agent_secret=stage.agent.agent_secret,
        server_url=stage.server,
        model=MODEL,
    )

    def answer_one(request_id: str) -> None:
        console.print()
        say(f"A browser waits for an agent: {request_id}", "bold")
        time.sleep(PAUSE_SECONDS)
        journey = Journey(ends_at=time.monotonic() + 10, timeout=options.timeout)
        flow = answer(stage.server, request_id, stage.website, options, journey)
        with new_client(stage.server) as client:
            try:
                drive.run(flow, client, lambda step: say(step.text))
            except AuthError as error:
                say(error.description, "red")

    def on_waiting(request_id: str) -> None:
        pool.submit(answer_one, request_id)

    with ThreadPoolExecutor(max_workers=2) as pool:
        stage.watch.on_waiting = on_waiting
        try:
            yield
        finally:
            stage.watch.on_waiting = None
