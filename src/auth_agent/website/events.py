"""Log events for operators (logger `auth_agent`).

The message is readable text, `extra` holds the same facts for programs. Facts are identifiers and
causes; a token, code, secret or cookie is never one of them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

logger = logging.getLogger("auth_agent")

EVENTS: Mapping[str, str] = {
    "signed_in": "An agent has signed in.",
    "signed_out": "An agent has signed out; `revoked` says whether its tokens were revoked.",
    "refused": "A sign-in, a token or a request was refused; `cause` is the error code.",
    "ended": "Sessions were ended: by the server, by `end_sessions`, or because a token ended.",
    "would_refuse": (
        "The policy would have refused a request; `AUTH_AGENT_REPORT_ONLY` let it pass."
    ),
    "report_only": "The website has started with `AUTH_AGENT_REPORT_ONLY`.",
    "claims_dropped": "Claims were left out of a session, because they do not fit into a cookie.",
    "not_linked": "An agent was not linked to an owner's account; `cause` says why.",
    "approved_act": "An act was done that the agent's owner had approved.",
    "directory_failed": "The key directory of a listed signature agent cannot be fetched or read.",
    "approvals_in_memory": "Used approvals are remembered in this process only.",
}

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
