"""The owner's letter box: takes the server's mail instead of sending it."""

from __future__ import annotations

import queue
from collections.abc import Callable

from auth_agent.cli.demo.narrator import DemoFailed
from auth_agent.server.outbound.mail import Mail

SECONDS = 10.0


class Postbox:
    """Keeps mail until it is taken; with `on_mail` passes each on at once."""

    def __init__(self) -> None:
        self._mails: queue.Queue[Mail] = queue.Queue()
        self.on_mail: Callable[[Mail], None] | None = None

    def deliver(self, mail: Mail) -> bool:
        """Takes a mail, to whatever address."""
        (self.on_mail or self._mails.put)(mail)
        return True

    def take(self) -> Mail:
        """Returns the next mail; raises `DemoFailed` if none comes."""
        try:
            return self._mails.get(timeout=SECONDS)
        except queue.Empty:
            raise DemoFailed("The server sent no mail.") from None
