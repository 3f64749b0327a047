"""Which of a website's accounts an agent may be linked to."""

from __future__ import annotations

from auth_agent.website.agent import Agent


def may_link(agent: Agent, account_email: str, account_email_verified: bool) -> bool:
    """Returns True if agent and account have one owner: the same e-mail, verified on both sides.

    Letters of ASCII count without their case, all others as they stand: Unicode's case folding
    takes the addresses of different people for one ("K", the Kelvin sign, for "k").
    """
    if not (agent.email and agent.email_verified is True and account_email_verified is True):
        return False
    return _fold(agent.email) == _fold(account_email)


def _fold(email: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in email)
