"""Checks secrets, and limits guessing.

A secret that is recognised at once is never refused, even if other clients at the same address
have guessed. Other attempts are counted per name and address, and per address over all names.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from auth_agent.server.security.credentials import SecretVerifier
from auth_agent.server.security.guessing.limits import Limits
from auth_agent.server.web.at_once import or_wait

REMEMBERED = 10_000
_OF_ADDRESS = "address_failures"


class Guesses:
    """Counts wrong secrets of one server's agents and websites."""

    def __init__(self, verifier: SecretVerifier, limits: Limits) -> None:
        self._verifier = verifier
        self._limits = limits
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()

    def proves(self, counter: str, name: str, party: str, stored: str | None, secret: str) -> bool:
        """Returns True if the secret is right, else counts it. Refusal 429 after too many.

        `counter` is `agent_failures` or `client_failures`.
        """
        if self._verifier.recognises(stored, secret):
            return True
        or_wait()  # wrong secrets are counted, and bcrypt is slow: go on in a thread
        mark = self._verifier.mark(f"{counter} {name}", secret)
        self._refuse_if_spent(counter, name, party, mark)
        if self._verifier.verify(stored, secret):
            return True
        self._limits.count(counter, name, party)
        self._limits.count(_OF_ADDRESS, party)
        self._remember(mark)
        return False

    def _refuse_if_spent(self, counter: str, name: str, party: str, mark: bytes) -> None:
        """Lets one new secret a minute through: it may be the right one."""
        spent: tuple[str, ...] = ()
        if self._limits.is_spent(_OF_ADDRESS, party):
            spent = (_OF_ADDRESS, party)
        elif self._limits.is_spent(counter, name, party):
            spent = (counter, name, party)
        if not spent:
            return
        with self._lock:
            was_wrong = mark in self._wrong
        if was_wrong or not self._limits.count("second_chances", *spent):
            raise self._limits.refusal(*spent)

    def _remember(self, mark: bytes) -> None:
        with self._lock:
            self._wrong[mark] = None
            self._wrong.move_to_end(mark)
            while len(self._wrong) > REMEMBERED:
                self._wrong.popitem(last=False)
