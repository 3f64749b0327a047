"""Marks of ended sessions in the browser, and the cookie name that is free for a new one."""

from __future__ import annotations

import re

from auth_agent.website.config.settings import Settings
from auth_agent.website.recognition.session import Session, cookie_name, cookie_names
from auth_agent.website.web.visit import Cookie

MAX_MARKS = 8
_MARK_LENGTH = 16  # of the 43 characters of a session's id: 96 bits
_MARK = re.compile(r"[A-Za-z0-9_-]{16}[01]")


def tombstone(session: Session, name: str, before: str | None, settings: Settings) -> Cookie:
    """Returns the cookie that keeps ended sessions ended, whichever late answer sets them again.

    It outlives them all. `name` is that of the session's cookie, `before` the value so far, of
    which the newest entries are kept.
    """
    mark = f"{session.id[:_MARK_LENGTH]}{cookie_names(settings).index(name)}"
    kept = [mark for mark in (before or "").split(".") if _MARK.fullmatch(mark)]
    value = ".".join([mark, *kept][:MAX_MARKS])
    return Cookie(tombstone_name(settings), value, settings.session_lifetime, settings.secure)


def is_ended(session: Session, marks: str | None) -> bool:
    """Returns whether the browser's tombstone names the session."""
    ended = [mark[:_MARK_LENGTH] for mark in (marks or "").split(".")]
    return session.id[:_MARK_LENGTH] in ended


def free_name(old: str | None, marks: str | None, settings: Settings) -> str:
    """Returns the name for a new session's cookie: not that of the session before."""
    names = cookie_names(settings)
    if old is None and marks is not None:
        old = names[1] if marks.partition(".")[0][_MARK_LENGTH:] == "1" else names[0]
    return names[1] if old == names[0] else names[0]


def tombstone_name(settings: Settings) -> str:
    return f"{cookie_name(settings)}_out"
