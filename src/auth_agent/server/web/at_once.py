"""Runs a call at once on the event loop's thread, or not at all.

A hop into a thread and back costs more than most calls, so the shell first tries without one. Code
that would have to wait (for another writer, bcrypt, the network) raises `WouldWait`, and the shell
runs the call again in a thread. After something that cannot be repeated, `happened()`, the call has
to go on; everything that waits must come before that.
"""

from __future__ import annotations

import threading


class WouldWait(Exception):
    """The call has to wait, and is run again in a thread."""


class _State(threading.local):
    trying = False


_state = _State()


def is_trying() -> bool:
    """Returns True while the current call can still be given up."""
    return _state.trying


def or_wait() -> None:
    """Raises WouldWait if the call can be given up; call this before anything slow."""
    if _state.trying:
        raise WouldWait


def happened() -> None:
    """Marks the call as not repeatable; call this after an effect that must not happen twice."""
    _state.trying = False


def try_at_once() -> None:
    """Keeps this thread from waiting until the call cannot be given up any more."""
    _state.trying = True
