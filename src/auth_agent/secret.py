"""A string that does not show itself."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec


class Discreet(msgspec.Struct, frozen=True):
    """A struct that shows only the fields that its own `__repr__` shows.

    Rich would otherwise print every field and ignore `__repr__`.
    """

    def __rich_repr__(self) -> Any:
        yield repr(self)


class Secret:
    """Holds a secret; only `reveal()` returns it, never `repr`, `str` or a log line."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('**********')"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))
