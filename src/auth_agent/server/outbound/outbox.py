"""Outgoing mail: a queue, so that response times do not reveal whether a mail was sent."""

from __future__ import annotations

import logging
import queue
import smtplib
import sys
import threading
import time
from collections.abc import Callable

from auth_agent.server.outbound.addresses import needs_smtputf8
from auth_agent.server.outbound.mail import (
    GREETING,
    Mail,
    MailServer,
    NoSmtpUtf8,
    cause_of,
    is_final,
    send,
)
from auth_agent.server.settings import ServerSettings

log = logging.getLogger("auth_agent.server.mail")

MOST_WAITING = 1_000
RETRY_AFTER = (2.0, 10.0)  # seconds
LAST_MAILS = 5.0  # seconds that the process waits for them at its end


class Outbox:
    """Queues mail and delivers it from its own thread, with three attempts."""

    def __init__(
        self,
        deliver: Callable[[Mail], bool] | None,
        retry_after: tuple[float, ...] = RETRY_AFTER,
    ) -> None:
        self._deliver = deliver
        self._retry_after = retry_after
        self._waiting: queue.Queue[Mail | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._on_failure: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        # The last known SMTPUTF8 ability of the mail server; None before it was asked.
        self._international: bool | None = None

    @property
    def can_send(self) -> bool:
        return self._deliver is not None

    def can_reach(self, address: str) -> bool:
        """Returns False if mail cannot reach the address: no mail server, or no SMTPUTF8."""
        return self.can_send and not (self._international is False and needs_smtputf8(address))

    def tell_of_failures(self, on_failure: Callable[[], None]) -> None:
        """Calls this on the mail's own thread for each mail that it gives up."""
        self._on_failure = on_failure

    def ask_ability(self) -> None:
        """Finds out, for the next time, whether the mail server offers SMTPUTF8."""
        self.post(GREETING)

    def post(self, mail: Mail) -> None:
        """Returns at once; undeliverable mail is logged without its text."""
        if self._deliver is None:
            log.error("mail to an owner was dropped: AUTH_AGENT_SERVER_SMTP_URL is not set")
            return
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="mail", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the machine has no thread left: the next mail tries again
                    log.exception("mail waits: no thread could be started")
                else:
                    self._thread = thread
        try:
            self._waiting.put_nowait(mail)
        except queue.Full:
            log.error(  # noqa: TRY400
                "mail was dropped, because %d others are waiting to be sent", MOST_WAITING
            )

    def close(self) -> None:
        """Delivers the waiting mail, for a few seconds."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                log.error("the server ends with %d mails unsent", MOST_WAITING)  # noqa: TRY400
            thread.join(LAST_MAILS)

    def _run(self) -> None:
        while (mail := self._waiting.get()) is not None:
            self._try(mail)

    def _try(self, mail: Mail) -> None:
        """Delivers one mail, or gives it up; whatever happens, the next mail has its turn."""
        assert self._deliver is not None  # noqa: S101  (no thread without it)
        for pause in (*self._retry_after, None):
            try:
                self._international = self._deliver(mail)
            except NoSmtpUtf8 as error:
                self._international = False
                log.error("mail was not delivered: %s", error)  # noqa: TRY400
                self._give_up(mail)
                return
            except Exception as error:  # noqa: BLE001  (the next mail has its turn)
                is_passing = isinstance(error, OSError | smtplib.SMTPException)
                if pause is None or not is_passing or is_final(error):
                    log.error("mail was not delivered: %s", cause_of(error))  # noqa: TRY400
                    self._give_up(mail)
                    return
                time.sleep(pause)
            else:
                return

    def _give_up(self, mail: Mail) -> None:
        if mail is GREETING:
            return
        try:
            self._on_failure()
        except Exception:  # the thread goes on with the next mail
            log.exception("a mail that was not delivered could not be recorded")


def build_outbox(settings: ServerSettings) -> Outbox:
    """Uses SMTP; without a mail server, prints mail on a loopback issuer and else sends none."""
    if settings.smtp_url:
        server = MailServer.from_settings(settings)
        return Outbox(lambda mail: send(server, mail))
    return Outbox(_print if settings.is_loopback else None)


def _print(mail: Mail) -> bool:
    """Prints the mail to the terminal, for development; accepts every address."""
    if mail is GREETING:
        return True
    lines = [f"To: {mail.to}", f"Subject: {mail.subject}", "", *mail.text.splitlines()]
    sys.stderr.write("\n" + "".join(f"  mail │ {line}\n" for line in lines) + "\n")
    sys.stderr.flush()
    return True
