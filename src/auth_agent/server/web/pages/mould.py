"""A page that is rendered once, with holes for what is different at each request."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping

Values = Mapping[str, str | int]
_PLAIN = re.compile(r"[A-Za-z0-9_-]*")


class Mould:
    """A rendered page with holes; filling them costs a fraction of rendering the page again.

    Only numbers and words of letters, digits, "-" and "_" fit a hole: they are written the same in
    HTML, in a URL, in JSON and in a script, so that there is nothing to escape.
    """

    def __init__(
        self,
        render: Callable[[Values], str],
        *,
        words: Collection[str],
        numbers: Collection[str],
    ) -> None:
        marks: dict[str, str | int] = {name: secrets.token_hex(16) for name in words}
        marks |= {name: 10**17 + secrets.randbelow(9 * 10**17) for name in numbers}
        names = {str(mark): name for name, mark in marks.items()}
        # Every second part is a mark, which no foreign text on the page can contain by chance.
        parts = re.split(f"({'|'.join(names)})", render(marks))
        self._parts = parts
        self._holes = [names[mark] for mark in parts[1::2]]

    def fill(self, values: Values) -> bytes:
        """Returns the page with these values; ValueError if one would have to be escaped."""
        texts = {name: str(value) for name, value in values.items()}
        if not _PLAIN.fullmatch("".join(texts.values())):
            raise ValueError("a value has characters that a page has to escape")
        parts = self._parts.copy()
        parts[1::2] = [texts[name] for name in self._holes]
        return "".join(parts).encode()
