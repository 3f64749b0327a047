"""Parsing of queries, forms and JSON, strict and bounded."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import parse_qsl

from auth_agent.server.web.call import Refusal

MOST_PARAMETERS = 64
LONGEST_PARAMETER = 8_192
# RFC 8707 section 2: `resource` alone may be given more than once.
_REPEATABLE = "resource"


class Parameters(dict[str, str]):
    """Parameters by name; empty ones count as omitted (RFC 6749 section 3.1)."""

    def __init__(self) -> None:
        super().__init__()
        self.resources: list[str] = []
        self.duplicates: set[str] = set()

    def add(self, name: str, value: str) -> None:
        if not value:
            return
        if name == _REPEATABLE:
            self.resources.append(value)
        elif name in self:
            self.duplicates.add(name)
        self.setdefault(name, value)

    def refuse_duplicates(self) -> Parameters:
        """Refuses a parameter that is given more than once (RFC 6749 section 3.2)."""
        if self.duplicates:
            raise Refusal(400, "invalid_request", "A parameter is given more than once")
        return self

    def need(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise Refusal(400, "invalid_request", f"Missing required parameter: {name}")
        return value


def from_query(raw: bytes) -> Parameters:
    """Parses a query string; notes duplicates without refusing them."""
    return _from_urlencoded(raw)


def from_body(content_type: str, body: bytes) -> Parameters:
    """Parses a form or a JSON object; existing clients send either."""
    if _is_json(content_type):
        return _from_object(json_object(body))
    if _media_type(content_type) == "application/x-www-form-urlencoded":
        return _from_urlencoded(body).refuse_duplicates()
    raise Refusal(
        415,
        "invalid_request",
        "Send application/x-www-form-urlencoded or application/json",
    )


def _from_object(body: dict[str, Any]) -> Parameters:
    parameters, count = Parameters(), 0
    for name, value in body.items():
        values = value if name == _REPEATABLE and isinstance(value, list) else [value]
        count += len(values)
        if count > MOST_PARAMETERS:
            raise Refusal(400, "invalid_request", f"More than {MOST_PARAMETERS} parameters")
        for one in values:
            if one is not None and not isinstance(one, str):
                raise Refusal(400, "invalid_request", "Every parameter has to be a string")
            _check_text(one or "")
            parameters.add(name, one or "")
    return parameters


def json_body(content_type: str, body: bytes) -> dict[str, Any]:
    """Parses a body that has to be a JSON object."""
    if not _is_json(content_type):
        raise Refusal(415, "invalid_request", "Send application/json")
    return json_object(body)


def need_text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(400, "invalid_request", f"Missing required parameter: {name}")
    return value


def json_object(body: bytes) -> dict[str, Any]:
    """Parses a JSON object; refuses repeated names, NUL and broken Unicode."""
    try:
        value = json.loads(
            body, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError):
        raise Refusal(400, "invalid_request", "The body is not a valid JSON object") from None
    if not isinstance(value, dict):
        raise Refusal(400, "invalid_request", "The body is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    for name, value in pairs:
        _check_text(name)
        if isinstance(value, str):
            _check_text(value)
    return found


def _no_constant(_name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _from_urlencoded(raw: bytes) -> Parameters:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise Refusal(
            400, "invalid_request", "The parameters are not valid UTF-8 form data"
        ) from None
    # A short text that was decoded strictly and has no %00 needs no second check.
    needs_look = len(raw) > LONGEST_PARAMETER or b"%00" in raw or b"\0" in raw
    parameters = Parameters()
    for name, value in pairs:
        if needs_look:
            _check_text(name)
            _check_text(value)
        parameters.add(name, value)
    return parameters


def _check_text(text: str) -> None:
    """Refuses NUL and lone surrogates, which cannot be stored."""
    if "\0" in text or len(text) > LONGEST_PARAMETER:
        raise Refusal(400, "invalid_request", "A parameter is too long or contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal(400, "invalid_request", "A parameter is not valid Unicode") from None


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _is_json(content_type: str) -> bool:
    return _media_type(content_type) == "application/json"
