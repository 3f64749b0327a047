"""Authorization details (RFC 9396): the acts that an owner is asked to approve.

An act is an object with a `type` and a `title` (one line for people). Amounts are strings: two
programs write one float in two ways.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from auth_agent.letters import SILENT, STYLES

OWNER = "urn:auth-agent:owner"
"""The `acr` of an authentication that the agent's owner has approved."""
ADDED = ("approval_id", "approved_at")
"""The members that the server adds to an act once the owner has approved it."""
GOOD_FOR = 600
"""Seconds after its approval in which an act can be done."""
MOST_OBJECTS = 5
LONGEST_OBJECT = 4_096  # bytes of its JSON
LONGEST_DETAILS = 8_192  # characters of the parameter
LONGEST_TITLE = 200
DEEPEST = 4
MOST_MEMBERS = 64
_LARGEST_NUMBER = 2**53 - 1  # RFC 8259 section 6: what every reader of JSON reads alike
TYPE = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
_LISTS = ("locations", "actions", "datatypes", "privileges")  # RFC 9396 section 2.2
# Controls, format characters (bidirectional ones among them), surrogates, private use, line breaks.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

Act = Mapping[str, Any]


class BadDetails(ValueError):
    """The details are not acceptable; the message is plain ASCII, for people."""


def read_details(text: str) -> list[dict[str, Any]]:
    """Returns the acts of an `authorization_details` parameter; raises `BadDetails`."""
    if len(text) > LONGEST_DETAILS:
        raise BadDetails(f"authorization_details is longer than {LONGEST_DETAILS} characters")
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float
        )
    except BadDetails:
        raise
    except (ValueError, RecursionError):
        raise BadDetails("authorization_details is not valid JSON") from None
    return check_details(value)


def check_details(value: object) -> list[dict[str, Any]]:
    """Returns the acts if all of them are acceptable from a client; raises `BadDetails`."""
    if not isinstance(value, list) or not value:
        raise BadDetails("authorization_details has to be a JSON array of objects")
    if len(value) > MOST_OBJECTS:
        raise BadDetails(f"authorization_details contains more than {MOST_OBJECTS} objects")
    for one in value:
        check_act(one)
    return value


def check_act(act: object) -> None:
    """Raises `BadDetails` unless this is an act as a client may ask for it."""
    if not isinstance(act, dict):
        raise BadDetails("Each of authorization_details has to be an object")
    kind = act.get("type")
    if not isinstance(kind, str) or not TYPE.fullmatch(kind):
        raise BadDetails("type has to be 1 to 64 characters of A-Z a-z 0-9 . _ : / -")
    if not is_line(act.get("title"), LONGEST_TITLE):
        raise BadDetails(
            f"title has to be one line of plain text for people, at most {LONGEST_TITLE} characters"
        )
    if added := [name for name in ADDED if name in act]:
        raise BadDetails(f"{added[0]} is added by the server; leave it out")
    for name in _LISTS:
        if name in act and not _is_text_list(act[name]):
            raise BadDetails(f"{name} has to be an array of strings")
    if "identifier" in act and not isinstance(act["identifier"], str):
        raise BadDetails("identifier has to be a string")
    _check_value(act, DEEPEST)
    if len(canonical(act).encode()) > LONGEST_OBJECT:
        raise BadDetails(
            f"An object of authorization_details is larger than {LONGEST_OBJECT} bytes"
        )


def is_line(value: object, longest: int) -> bool:
    """Returns True for one line of plain text that a person can read as it is."""
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        return False
    return all(unicodedata.category(letter) not in _HIDDEN for letter in value)


def visible(text: str) -> str:
    """Returns text with every hidden letter (controls, direction, zero width) as an escape."""
    return "".join(f"\\u{ord(letter):04x}" if _is_hidden(letter) else letter for letter in text)


def _is_hidden(letter: str) -> bool:
    if unicodedata.category(letter) in _HIDDEN:
        return True
    return SILENT.match(letter) is not None and letter not in STYLES


def canonical(value: object) -> str:
    """Returns the one JSON text of a value: members sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def bare(act: Act) -> dict[str, Any]:
    """Returns an act without what the server has added."""
    return {name: value for name, value in act.items() if name not in ADDED}


def same_act(one: Act, other: Act) -> bool:
    """Returns True if two acts are equal, field by field.

    The order of members does not count, that of arrays does; `"45.0"` is not `"45.00"`, `1` is
    neither `"1"` nor `True`.
    """
    return canonical(bare(one)) == canonical(bare(other))


def enriched(details: Sequence[Act], approval_id: str, approved_at: int) -> list[dict[str, Any]]:
    """Returns the acts as approved (RFC 9396 section 7.1)."""
    added = dict(zip(ADDED, (approval_id, approved_at), strict=True))
    return [{**bare(act), **added} for act in details]


def narrowed(granted: Sequence[dict[str, Any]], asked: Sequence[Act]) -> list[dict[str, Any]]:
    """Returns those granted acts that are asked for; raises `BadDetails` for any other one."""
    found: list[dict[str, Any]] = []
    for wanted in asked:
        matching = [act for act in granted if same_act(act, wanted)]
        if not matching:
            raise BadDetails("authorization_details asks for more than was granted")
        found += [act for act in matching if act not in found]
    return found


def at_audience(granted: Sequence[dict[str, Any]], audience: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the acts for this audience (RFC 9396 section 9.1): without `locations`, for all."""
    return [act for act in granted if not act.get("locations") or {*act["locations"]} & {*audience}]


def _check_value(value: object, depth: int) -> None:
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise BadDetails(f"authorization_details is nested deeper than {DEEPEST} levels")
        if len(value) > MOST_MEMBERS:
            raise BadDetails(f"An object or array has more than {MOST_MEMBERS} members")
        names = value if isinstance(value, dict) else ()
        for one in (*names, *(value.values() if isinstance(value, dict) else value)):
            _check_value(one, depth - 1)
        if not all(isinstance(name, str) for name in names):
            raise BadDetails("The name of a member has to be a string")
    elif isinstance(value, str):
        _check_text(value)
    elif not isinstance(value, (bool, int)):
        raise BadDetails("Use strings, booleans, integers, arrays and objects; amounts are strings")
    elif abs(value) > _LARGEST_NUMBER:
        raise BadDetails("A number is too large; write it as a string")


def _check_text(text: str) -> None:
    """Refuses what no database stores, and what no JSON text can hold."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise BadDetails("authorization_details contains a NUL character or invalid Unicode")


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadDetails("A name appears twice in authorization_details")
    return found


def _no_float(_text: str) -> None:
    raise BadDetails("authorization_details contains a decimal number; write amounts as strings")
