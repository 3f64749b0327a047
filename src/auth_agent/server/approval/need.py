"""When the owner has to be asked: by the agent's setting, and by what the request asks for."""

from __future__ import annotations

from typing import Any

from auth_agent.server.config.checks import APPROVALS as SETTINGS

OFF, NOTIFY, FIRST, ALWAYS = SETTINGS
STRICTNESS = {setting: number for number, setting in enumerate(SETTINGS)}


def needs_owner(setting: str, sign_in: Any, known: Any) -> bool:
    """Returns whether a sign-in waits for the owner.

    `sign_in` has `act` and `needs_owner`: what the request itself asks for, which no setting takes
    back. `known` is the website as `websites.find_known` reads it, or None.
    """
    if sign_in.act is not None or sign_in.needs_owner:
        return True
    if setting == ALWAYS:
        return known is None or known.always_at is None
    if setting == FIRST:
        return known is None or (known.always_at is None and known.approved_at is None)
    return False


def looks_up_website(setting: str, *, can_mail: bool) -> bool:
    """Returns whether it matters which websites the agent knows already."""
    return setting in (FIRST, ALWAYS) or (setting == NOTIFY and can_mail)
