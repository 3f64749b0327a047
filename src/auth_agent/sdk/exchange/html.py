"""Reading pages: the request on a waiting page, and the words on any other."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec

from auth_agent.flow.exchange import HttpResponse

MAX_EXCERPT = 300
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{4,128}")
# The wire contract, 1.2: the key is unquoted, and no brace closes before it.
_SCRIPT = re.compile(r"window\.authRequest\s*=\s*\{[^}]{0,1000}?\brequest_id\s*:\s*['\"]([^'\"]+)")
_SILENT = ("script", "style", "template", "noscript", "title")


def request_ids(response: HttpResponse) -> frozenset[str]:
    """What a page names as its request: nothing where it is no waiting page, one where it is."""
    if "html" not in response.headers.get("content-type", "").lower():
        return frozenset()
    text = response.body.decode("utf-8", "replace")
    reader = _Reader()
    reader.feed(text)
    return frozenset((*_SCRIPT.findall(text), *reader.request_ids))


def is_request_id(value: str) -> bool:
    """Whether it may stand in a URL's path."""
    return _REQUEST_ID.fullmatch(value) is not None


def excerpt(response: HttpResponse) -> str:
    """The words of an answer on one line: an OAuth error's description, a page's text."""
    if "json" in response.headers.get("content-type", "").lower():
        described = _described(response.body)
        if described is not None:
            return _one_line(described, MAX_EXCERPT)
    return words(response, MAX_EXCERPT)


def words(response: HttpResponse, most: int) -> str:
    """What a reader of an answer would read, on one line of `most` characters."""
    text = response.body[:65_536].decode("utf-8", "replace")
    if "html" in response.headers.get("content-type", "").lower():
        reader = _Reader()
        reader.feed(text)
        text = " ".join(reader.words)
    return _one_line(text, most)


def _one_line(text: str, most: int) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _described(body: bytes) -> str | None:
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    parts = (document.get("error"), document.get("error_description"))
    return ": ".join(part for part in parts if isinstance(part, str)) or None


class _Reader(HTMLParser):
    """Collects the words that a person would see, and the request that a waiting page names."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.request_ids: list[str] = []
        self._silent: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent is None and tag in _SILENT:
            self._silent = tag
        if tag == "meta":
            found = dict(attrs)
            if found.get("name") == "request-id" and (value := found.get("content")):
                self.request_ids.append(value)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = None

    def handle_data(self, data: str) -> None:
        if self._silent is None and data.strip():
            self.words.append(data.strip())
