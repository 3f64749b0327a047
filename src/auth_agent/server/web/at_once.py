"""Doing a call at once on the event loop's thread, or not at all.

A hop into a thread and back costs more than most calls. So the shell tries first without one:
whatever would have to wait (another writer, bcrypt, the network) says so by raising `WouldWait`,
and the call is done again in a thread. That is only right as long as nothing has happened that
cannot be repeated; after the first such thing, `happened()`, the call goes on and waits.
"""

from __future__ import annotations

import threading


class WouldWait(Exception):
    """This call belongs into a thread."""


class _State(threading.local):
    trying = False


_state = _State()


def is_trying() -> bool:
    """True while the present call may still be given up."""
    return _state.trying


def or_wait() -> None:
    """Say this before anything slow."""
    if _state.trying:
        raise WouldWait


def happened() -> None:
    """Say this after anything that may not happen twice."""
    _state.trying = False


def try_at_once() -> None:
    """From here on this thread does not wait, until something has happened."""
    _state.trying = True
