"""Streams end with the credential that opened them, after which clients open another."""

from __future__ import annotations

import anyio

from auth_agent.asgi import App, Message, Receive, Scope, Send
from auth_agent.flow.drive import arun
from auth_agent.website.entry import Entry


async def run_stream(
    app: App, scope: Scope, receive: Receive, send: Send, *, entry: Entry, seconds: float
) -> None:
    """Runs the server for at most so many seconds, and until the credential is refused.

    A stream that is cut off ends as a whole answer: no client takes it for a broken connection.
    """
    is_open, failure = False, None

    async def watch(message: Message) -> None:
        nonlocal is_open
        is_open = message["type"] == "http.response.start" or bool(message.get("more_body"))
        await send(message)

    async with anyio.create_task_group() as group:
        with anyio.move_on_after(seconds) as until:
            group.start_soon(_end_if_revoked, entry, until)
            try:
                await app(scope, receive, watch)
            except Exception as error:  # noqa: BLE001  # raised below, and not as a group's
                failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if until.cancelled_caught and is_open:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _end_if_revoked(entry: Entry, until: anyio.CancelScope) -> None:
    """Asks again and again whether the token, the session or the signature's key still counts."""
    party, agent = entry.relying_party, entry.agent
    every = 0 if agent is None else party.recheck_seconds(agent)
    while agent is not None and every > 0:
        await anyio.sleep(every)
        if not await arun(party.is_still_active(entry.visit, agent)):
            until.cancel()
            return
