"""httpx2 logs each URL at INFO; a callback's URL holds a code, so ours are logged without query."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ours: ContextVar[bool] = ContextVar("auth_agent_sdk_fetch", default=False)


@contextmanager
def without_queries() -> Iterator[None]:
    """Cuts the query from the URLs that httpx2 logs for this thread or task meanwhile."""
    _install()
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


@functools.cache
def _install() -> None:
    logging.getLogger("httpx2").addFilter(_cut)


def _cut(record: logging.LogRecord) -> bool:
    if _ours.get() and isinstance(record.args, tuple):
        record.args = tuple(_shortened(argument) for argument in record.args)
    return True


def _shortened(argument: object) -> object:
    text = str(argument)
    return text.partition("?")[0] if "://" in text else argument
