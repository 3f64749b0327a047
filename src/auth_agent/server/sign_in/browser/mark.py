"""The cookie by which the server knows the browser that opened a sign-in."""

from __future__ import annotations

import hmac
import re
from typing import Any

from auth_agent.server.context import Context
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.web.call import Call, Headers, cookie_name

_MARK = re.compile(r"[A-Za-z0-9_-]{43}")


def mark_of(context: Context, call: Call) -> tuple[str, Headers]:
    """Returns the browser's mark, and the header that sets it if it had none."""
    name, secure = mark_cookie(context), "; Secure" if context.settings.is_https else ""
    known = call.cookie(name)
    if known is not None and _MARK.fullmatch(known):
        return known, ()
    fresh = new_token("")
    return fresh, (("set-cookie", f"{name}={fresh}; Path=/; HttpOnly; SameSite=Lax{secure}"),)


def mark_cookie(context: Context) -> str:
    return cookie_name("browser", is_https=context.settings.is_https)


def is_bound(context: Context, call: Call, row: Any) -> bool:
    """Returns True for the browser that opened this sign-in."""
    mark = call.cookie(mark_cookie(context)) or ""
    return row.browser_hash is not None and hmac.compare_digest(digest(mark), row.browser_hash)
