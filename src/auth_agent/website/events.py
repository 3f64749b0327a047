"""Log events for operators (logger `auth_agent`).

The message is readable text, `extra` holds the same facts for programs. Facts are identifiers and
causes; a token, code, secret or cookie is never one of them.
"""

from __future__ import annotations

import logging
import re

logger = logging.getLogger("auth_agent")

_PLAIN = re.compile(r"[^\x21-\x7e]")
_PRINTABLE = re.compile(r"[^\x20-\x7e]")
_MAX_DETAIL = 400


def log_event(
    name: str, *, level: int = logging.INFO, detail: str = "", **facts: str | int | bool | None
) -> None:
    """Logs an event; control characters in `facts`, which may come from outside, are replaced.

    `detail` is a sentence for operators, cause and remedy.
    """
    if not logger.isEnabledFor(level):
        return
    clean = {key: _clean(value) for key, value in facts.items() if value is not None}
    words = " ".join(f"{key}={value}" for key, value in clean.items())
    if detail:
        clean["detail"] = _PRINTABLE.sub("?", detail)[:_MAX_DETAIL]
        words += f": {clean['detail']}"
    logger.log(level, "%s %s", name, words, extra={"auth_agent": {"event": name, **clean}})


def _clean(value: str | int | bool) -> str | int | bool:
    return _PLAIN.sub("?", value)[:200] if isinstance(value, str) else value
