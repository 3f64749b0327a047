"""The sign-ins that began in this process, and the PKCE verifier of each."""

from __future__ import annotations

from collections import OrderedDict

from auth_agent.errors import AuthError
from auth_agent.flow.kept import Guard
from auth_agent.sdk.calls import oauth

MAX_PENDING = 1_000


class Pending:
    """The sign-ins that began here, by state; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._verifiers: OrderedDict[str, str] = OrderedDict()
        self._lock = Guard()

    def add(self, state: str, verifier: str) -> None:
        with self._lock:
            self._verifiers[state] = verifier
            while len(self._verifiers) > MAX_PENDING:
                self._verifiers.popitem(last=False)

    def take(self, state: str, given: str | None, expected: str | None) -> str:
        """Returns the verifier of a state; each state is single-use."""
        with self._lock:
            known = self._verifiers.pop(state, None)
            others = bool(self._verifiers)
        if given is None and known is None:
            raise _unknown_state(others)
        verifier = given if given is not None else known
        assert verifier is not None  # noqa: S101  # one of the two is there
        if expected is not None or known != verifier:
            oauth.check_state(state, verifier, expected)
        return verifier


def _unknown_state(others: bool) -> AuthError:
    if others:
        return AuthError(
            "This process has no open sign-in with this state: the state was used before, or "
            "is forged.",
            code="state_mismatch",
        )
    return AuthError(
        "This process has not started a sign-in: call get_authorization_url first, or give the "
        "code_verifier that it returned.",
        code="pkce_missing",
    )
