"""When the owner has to be asked: by the agent's setting, and by what the request asks for."""

from __future__ import annotations

from typing import Any

from auth_agent.server.config.checks import APPROVALS as SETTINGS

OFF, NOTIFY, FIRST, ALWAYS = SETTINGS
STRICTNESS = {setting: number for number, setting in enumerate(SETTINGS)}


def needs_owner(setting: str, sign_in: Any, known: Any, scope: str) -> bool:
    """Returns whether a sign-in waits for the owner.

    `sign_in` has `act` and `needs_owner`: what the request itself asks for, which no setting takes
    back. `known` is the website as `websites.find_known` reads it, or None.
    """
    if sign_in.act is not None or sign_in.needs_owner:
        return True
    return setting in (FIRST, ALWAYS) and not is_approved(setting, known, scope)


def is_approved(setting: str, known: Any, scope: str) -> bool:
    """Returns whether the owner's approval of a website covers these scopes under `setting`.

    An approval is about what the owner saw: a website that asks for more is asked about again.
    """
    if known is None or not {*scope.split()} <= {*(known.scope or "").split()}:
        return False
    return known.always_at is not None or (setting == FIRST and known.approved_at is not None)


def looks_up_website(setting: str, *, can_mail: bool) -> bool:
    """Returns whether it matters which websites the agent knows already."""
    return setting in (FIRST, ALWAYS) or (setting == NOTIFY and can_mail)
