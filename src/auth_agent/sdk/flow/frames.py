"""Empties the frames of a call that failed: reporters of errors show their local variables."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Ours, and those of the libraries that hold our requests: their headers and bodies are secrets.
_OURS = frozenset({"auth_agent", "h11", "httpcore2", "httpx2", "json", "jwt"})


@contextmanager
def emptied_frames() -> Iterator[None]:
    """Removes the local variables below this block from the traceback of an error in it.

    They hold tokens and secrets as plain strings. Lines and names of functions stay, and so do the
    variables of the caller's own functions and of errors from before the block.
    """
    before = sys.exc_info()[1]
    try:
        yield
    except BaseException as error:
        _empty(error, before)
        raise


def _empty(error: BaseException, before: BaseException | None) -> None:
    seen, left = {id(before), id(None)}, [error]
    while left:
        one = left.pop()
        seen.add(id(one))
        trace = one.__traceback__
        while trace is not None:
            _clear(trace.tb_frame)
            trace = trace.tb_next
        more = (one.__cause__, one.__context__, *getattr(one, "exceptions", ()))
        left += [each for each in more if each is not None and id(each) not in seen]


def _clear(frame: FrameType) -> None:
    if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OURS:
        try:
            frame.clear()
        except RuntimeError:
            return  # it is still running: the block's own function
