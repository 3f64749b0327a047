"""The HTML pages, their headers, and their files under names that change with the content."""

from __future__ import annotations

import hashlib
import secrets
import time
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from auth_agent.mark import ICON, mark
from auth_agent.server.web.call import NO_STORE, Answer, Headers
from auth_agent.server.web.pages.mould import Mould

_HERE = Path(__file__).parent
_IMMUTABLE = (("cache-control", "public, max-age=31536000, immutable"),)
_HTML = "text/html; charset=utf-8"


class Pages:
    """Renders pages for a server whose public addresses start with `root` (mostly empty)."""

    def __init__(self, root: str) -> None:
        self._static: dict[str, bytes] = {}
        self.stylesheet_name = self._publish("auth-agent.css")
        console = self._publish("console.css")
        passkeys = self._publish("passkeys.js")
        script = self._publish("console.js")
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals |= {
            "root": root,
            "icon": ICON,
            "mark": Markup(mark(20, attributes=' aria-hidden="true"')),  # noqa: S704  # ours
            "stylesheet": f"{root}/static/{self.stylesheet_name}",
            "console_stylesheet": f"{root}/static/{console}",
            "console_script": f"{root}/static/{script}",
            "passkey_script": f"{root}/static/{passkeys}",
        }
        self._templates.filters["moment"] = _moment

    def page(
        self, name: str, status: int = 200, /, *, form_targets: str = "", **values: object
    ) -> Answer:
        """Returns a page with a policy that allows no script but the page's own.

        `form_targets` lists the origins that a form may redirect to: Chromium applies form-action
        to redirects as well.
        """
        nonce = secrets.token_urlsafe(16)
        body = self.render(name, nonce=nonce, **values)
        return _answer(status, body.encode(), nonce, form_targets)

    def filled(self, mould: Mould, *, form_targets: str = "", **values: str | int) -> Answer:
        """Returns a page from a mould that has a hole for the nonce, as `page` would."""
        nonce = secrets.token_urlsafe(16)
        return _answer(200, mould.fill({"nonce": nonce, **values}), nonce, form_targets)

    def render(self, name: str, /, **values: object) -> str:
        return self._templates.get_template(name).render(values)

    def error(self, title: str, text: str, status: int = 400) -> Answer:
        return self.page("error.html", status, title=title, text=text)

    def static(self, name: str) -> Answer | None:
        """Returns a stylesheet or script under its current name, and nothing else."""
        found = self._static.get(name)
        if found is None:
            return None
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        return Answer(200, found, _IMMUTABLE, f"{kind}; charset=utf-8")

    def _publish(self, name: str) -> str:
        """Returns the name under which a file is served, which changes with its content."""
        content = (_HERE / "static" / name).read_bytes()
        stem, _, suffix = name.rpartition(".")
        published = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
        self._static[published] = content
        return published


@lru_cache(maxsize=8)
def pages_under(root: str) -> Pages:
    """Returns the pages under this path; several servers in one process share them."""
    return Pages(root)


def _moment(seconds: int) -> str:
    """Returns a time in UTC in a form for readers of any country."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _answer(status: int, body: bytes, nonce: str, form_targets: str) -> Answer:
    return Answer(status, body, (*NO_STORE, *_policy(nonce, form_targets)), _HTML)


def _policy(nonce: str, form_targets: str) -> Headers:
    csp = (
        "default-src 'none'; "
        f"script-src 'nonce-{nonce}'; "
        "style-src 'self'; img-src data:; connect-src 'self'; "
        f"form-action 'self'{form_targets}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return (
        ("content-security-policy", csp),
        ("x-frame-options", "DENY"),
        # A page that opened this one could otherwise send the tab elsewhere while it is read.
        ("cross-origin-opener-policy", "same-origin"),
    )
