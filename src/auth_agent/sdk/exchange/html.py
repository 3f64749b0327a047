"""Parses pages: the request of a waiting page; the words, links and forms of any other."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

import msgspec

from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk.text import MAX_LINE, one_line

MAX_HTML = 262_144
MAX_PARTS = 500  # links, forms and fields that are kept of one page
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{4,128}")
# The wire contract, 1.2: the key is unquoted, and no brace closes before it.
_SCRIPT = re.compile(r"window\.authRequest\s*=\s*\{[^}]{0,1000}?\brequest_id\s*:\s*['\"]([^'\"]+)")
# A page that repeats its own URL repeats what the callback carried.
_CREDENTIALS = re.compile(
    r"(?:\b|(?<=%3f)|(?<=%26))((?:\w+_)?(?:code|state|token|secret|assertion|session|cookie)\w{0,16})"
    r"(?:\s*[=:]\s*|%3D)['\"]?[^\s&'\"<>]+",
    re.IGNORECASE,
)
_SILENT = ("script", "style", "template", "noscript", "title")
_LABELS = ("aria-label", "alt", "title")


class Link(NamedTuple):
    """A link; `reference` is as the page writes it, `rel` holds its relations in lower case."""

    reference: str
    text: str
    rel: frozenset[str]


class Field(NamedTuple):
    """A field of a form; `kind` is the input's type, or the element's name."""

    name: str
    kind: str
    value: str


class Form(NamedTuple):
    """A form; `text` is its words and the labels of its buttons."""

    method: str
    action: str
    fields: tuple[Field, ...]
    text: str


class Document(NamedTuple):
    """A page that was read; `base` is what its references are relative to, if it says so."""

    words: tuple[str, ...] = ()
    request_ids: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    forms: tuple[Form, ...] = ()
    base: str = ""


def is_html(response: HttpResponse) -> bool:
    return "html" in response.headers.get("content-type", "").lower()


def read_document(response: HttpResponse) -> Document:
    """Returns the first 256 KiB of an HTML page, parsed; nothing for any other answer."""
    if not is_html(response):
        return Document()
    reader = _Reader()
    reader.feed(response.body[:MAX_HTML].decode("utf-8", "replace"))
    return reader.document()


def request_ids(response: HttpResponse) -> frozenset[str]:
    """Returns the requests that a page names: none unless it is a waiting page, one if it is."""
    if not is_html(response):
        return frozenset()
    text = response.body[:MAX_HTML].decode("utf-8", "replace")
    return frozenset((*_SCRIPT.findall(text), *read_document(response).request_ids))


def is_request_id(value: str) -> bool:
    """Returns True if the value may stand in a URL's path."""
    return _REQUEST_ID.fullmatch(value) is not None


def excerpt(response: HttpResponse) -> str:
    """Returns an answer's words on one line: an OAuth error's description, or a page's text."""
    if "json" in response.headers.get("content-type", "").lower():
        described = _described(response.body)
        if described is not None:
            return one_line(described)
    if response.status >= 500:  # a debug page shows settings, and the callback's code
        return "an error page of the website, which is not repeated here"
    return _CREDENTIALS.sub(r"\1=[hidden]", words(response, MAX_LINE))


def words(response: HttpResponse, most: int) -> str:
    """Returns the visible words of an answer, on one line of `most` characters."""
    if is_html(response):
        return one_line(" ".join(read_document(response).words), most)
    return one_line(response.body[:65_536].decode("utf-8", "replace"), most)


def _described(body: bytes) -> str | None:
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    parts = (document.get("error"), document.get("error_description"))
    return ": ".join(part for part in parts if isinstance(part, str)) or None


class _OpenForm:
    """A form whose end has not come yet."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.method = attributes.get("method", "get").lower()
        self.action = attributes.get("action", "")
        self.fields: list[Field] = []
        self.text: list[str] = []

    def close(self) -> Form:
        return Form(self.method, self.action, tuple(self.fields), one_line(" ".join(self.text)))


class _OpenLink:
    """A link whose end has not come yet."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.reference = attributes["href"]
        self.rel = _relations(attributes)
        self.text = [attributes[name] for name in _LABELS if name in attributes]

    def close(self) -> Link:
        return Link(self.reference, one_line(" ".join(self.text)), self.rel)


class _Reader(HTMLParser):
    """Collects the words that a person would see, and the links and forms."""

    def __init__(self) -> None:
        super().__init__()
        self._words: list[str] = []
        self._request_ids: list[str] = []
        self._links: list[Link] = []
        self._forms: list[Form] = []
        self._base = ""
        self._silent: str | None = None
        self._link: _OpenLink | None = None
        self._form: _OpenForm | None = None

    def document(self) -> Document:
        self._end_link()
        self._end_form()
        parts = (self._words, self._request_ids, self._links, self._forms)
        words_, ids, links, forms = (tuple(part) for part in parts)
        return Document(words_, ids, links, forms, self._base)  # type: ignore[arg-type]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent is None and tag in _SILENT:
            self._silent = tag
        if self._silent not in (None, "noscript"):
            return
        attributes = {name: value or "" for name, value in reversed(attrs)}  # the first one counts
        if tag == "meta" and attributes.get("name") == "request-id" and attributes.get("content"):
            self._request_ids.append(attributes["content"])
        elif tag == "base" and not self._base:
            self._base = attributes.get("href", "")
        elif tag == "link" and "href" in attributes and len(self._links) < MAX_PARTS:
            self._links.append(Link(attributes["href"], "", _relations(attributes)))
        elif tag == "a" and "href" in attributes:
            self._end_link()
            self._link = _OpenLink(attributes)
        elif tag == "form":
            self._end_form()
            self._form = _OpenForm(attributes)
        elif tag in ("input", "button", "textarea", "select"):
            self._add_field(tag, attributes)
        elif tag == "img" and self._link is not None:
            self._link.text.append(attributes.get("alt", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = None
        elif tag == "a":
            self._end_link()
        elif tag == "form":
            self._end_form()

    def handle_data(self, data: str) -> None:
        text = data.strip()
        if not text or self._silent is not None:
            return
        self._words.append(text)
        for part in (self._link, self._form):
            if part is not None:
                part.text.append(text)

    def _add_field(self, tag: str, attributes: dict[str, str]) -> None:
        if self._form is None or len(self._form.fields) >= MAX_PARTS:
            return
        kind = attributes.get("type", "submit" if tag == "button" else "text").lower()
        kind = kind if tag in ("input", "button") else tag
        self._form.text.extend(attributes[name] for name in _LABELS if name in attributes)
        if kind in ("submit", "image") and tag == "input":
            self._form.text.append(attributes.get("value", ""))
        if kind in ("checkbox", "radio") and "checked" not in attributes:
            return
        if "disabled" not in attributes:
            name, value = attributes.get("name", ""), attributes.get("value", "")
            self._form.fields.append(Field(name, kind, value))

    def _end_link(self) -> None:
        if self._link is not None and len(self._links) < MAX_PARTS:
            self._links.append(self._link.close())
        self._link = None

    def _end_form(self) -> None:
        if self._form is not None and len(self._forms) < MAX_PARTS:
            self._forms.append(self._form.close())
        self._form = None


def _relations(attributes: dict[str, str]) -> frozenset[str]:
    return frozenset(attributes.get("rel", "").lower().split())
