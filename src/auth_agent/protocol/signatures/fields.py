"""The fields `Signature-Input`, `Signature` and `Signature-Agent`, read and written.

Structured fields (RFC 9651) are the library's; it is imported with the first signed request. Every
reader raises `SignatureRefused` with `signature_malformed` and no other exception.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from auth_agent.errors import SignatureRefused
from auth_agent.extras import needed_for
from auth_agent.protocol.signatures.bounds import (
    MAX_COMPONENTS,
    MAX_FIELDS,
    MAX_SIGNATURES,
    MAX_TEXT,
)
from auth_agent.protocol.signatures.quick import one_input, one_signature

MAX_KEPT = 512
"""Characters of a field whose members are remembered."""

_TYPES: dict[str, type] = {
    "created": int,
    "expires": int,
    "nonce": str,
    "alg": str,
    "keyid": str,
    "tag": str,
}


class Component(NamedTuple):
    """One identifier of what a signature covers (RFC 9421 2); `params` in the order received."""

    name: str
    params: Mapping[str, Any] = {}

    def text(self) -> str:
        """Returns the identifier as the signature base writes it."""
        return _string(self.name) + _params(self.params)

    @property
    def identity(self) -> Hashable:
        """Returns the same for identifiers that mean the same: parameters come in any order."""
        if not self.params:
            return self.name
        pairs = [(name, type(value), str(value)) for name, value in self.params.items()]
        return self.name, frozenset(pairs)


class Signed(msgspec.Struct, frozen=True):
    """One signature of a message: what it covers, its parameters, and its bytes.

    `created`, `expires`, `nonce`, `alg`, `keyid` and `tag` in `params` have the right type.
    """

    label: str
    components: tuple[Component, ...]
    params: Mapping[str, Any]
    signature: bytes = b""

    def params_text(self, texts: Iterable[str] | None = None) -> str:
        """Returns the value of `@signature-params` (RFC 9421 2.3); `texts` are the identifiers."""
        if texts is None:
            texts = [component.text() for component in self.components]
        return f"({' '.join(texts)}){_params(self.params)}"


def check_size(*fields: str | None) -> None:
    """Raises `SignatureRefused` if the fields are too long together to be read."""
    if sum(len(field or "") for field in fields) > MAX_FIELDS:
        raise malformed(f"The signature fields are longer than {MAX_FIELDS} characters.")


def read_signatures(
    signature_input: str | None, signature: str | None, *, tag: str | None = None
) -> tuple[Signed, ...]:
    """Returns the signatures of a message, those with this `tag` if one is given.

    A label that is there twice voids the field. One that is in one of the two fields only, or whose
    parameters are wrong, voids its own signature; raises `SignatureRefused` if no other is left.
    """
    check_size(signature_input, signature)
    given, value = signature_input or "", signature or ""
    inputs: dict[str, Any] = one_input(given) or _dictionary(given, "Signature-Input")
    values: dict[str, Any] = one_signature(value) or _dictionary(value, "Signature")
    if len(inputs) > MAX_SIGNATURES or len(values) > MAX_SIGNATURES:
        raise malformed(f"The request has more than {MAX_SIGNATURES} signatures.")
    found: list[Signed] = []
    problem: SignatureRefused | None = None
    for label, one in inputs.items():
        if tag in (None, _tag_of(one)):
            try:
                found.append(_signed(label, one, values.get(label)))
            except SignatureRefused as refused:
                problem = problem or refused
    if problem is not None and not found:
        raise problem
    return tuple(found)


def read_agents(field: str | None) -> Mapping[str, str]:
    """Returns the members of `Signature-Agent`; the old form, one String, has the key "".

    A member with parameters is left out (Web Bot Auth -01, 5.2.1).
    """
    text = (field or "").strip(" \t")
    if text.startswith('"'):
        value, params = _parsed(text, "item", "Signature-Agent")
        return {"": value} if not params else {}
    members = _members(text)
    if len(members) > MAX_SIGNATURES:
        raise malformed(f"Signature-Agent has more than {MAX_SIGNATURES} members.")
    return {
        key: value
        for key, (value, params) in members.items()
        if isinstance(value, str) and not params
    }


def member_of(field: str, key: str) -> str:
    """Returns a member of a Dictionary, strictly serialised (RFC 9421 2.1.2)."""
    members = _members(field)
    if key not in members:
        raise malformed("The signature covers a dictionary key that the header does not have.")
    return write(members[key])


def write(value: Any) -> str:
    """Returns an item, inner list or dictionary as text; `ValueError` if it cannot be written.

    An item is a pair of value and parameters, an inner list a pair of items and parameters.
    """
    http_sf = _library()
    if isinstance(value, tuple) and isinstance(value[0], list):
        text: str = http_sf.ser({"x": value})
        return text[2:]  # the library writes an inner list only as a member
    text = http_sf.ser(value)
    return text


@functools.cache
def _library() -> Any:
    with needed_for("signatures"):
        import http_sf  # noqa: PLC0415  # 60 ms that only a website with signed requests spends
    return http_sf


def _string(text: str) -> str:
    """Writes a String (RFC 9651 4.1.6) of text that was parsed before, or is ours."""
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _params(params: Mapping[str, Any]) -> str:
    """Writes parameters (RFC 9651 4.1.1.2): String and Integer itself, the rest by the library."""
    text = ""
    for name, value in params.items():
        if type(value) is str:
            text += f";{name}={_string(value)}"
        elif type(value) is int:
            text += f";{name}={value}"
        else:
            text += f";{name}" if value is True else f";{name}={write((value, {}))}"
    return text


def malformed(description: str) -> SignatureRefused:
    return SignatureRefused(description, code="signature_malformed")


def _members(text: str) -> dict[str, Any]:
    """Parses a dictionary, cached: `Signature-Agent` repeats, and is read twice in a request."""
    if len(text) > MAX_KEPT:
        return _dictionary(text, "A dictionary")
    return _kept_members(text)


@functools.lru_cache(maxsize=128)
def _kept_members(text: str) -> dict[str, Any]:
    return _dictionary(text, "A dictionary")


def _dictionary(text: str, name: str) -> dict[str, Any]:
    members: dict[str, Any] = _parsed(text, "dictionary", name)
    return members


def _parsed(text: str, kind: str, name: str) -> Any:
    def refuse(_key: str, _where: str) -> None:
        raise malformed(f"{name} contains a name twice.")

    if len(text) > MAX_FIELDS:
        raise malformed(f"{name} is longer than {MAX_FIELDS} characters.")
    try:
        return _library().parse(text.encode("ascii"), tltype=kind, on_duplicate_key=refuse)
    except (ValueError, ArithmeticError, OSError):  # a Date beyond the calendar
        raise malformed(f"{name} is not a well-formed structured field (RFC 9651).") from None


def _tag_of(member: tuple[Any, Mapping[str, Any]]) -> str | None:
    tag = member[1].get("tag")
    return tag if isinstance(tag, str) else None


def _signed(
    label: str, member: tuple[Any, Mapping[str, Any]], value: tuple[Any, Any] | None
) -> Signed:
    listed, params = member
    if not isinstance(listed, list) or len(listed) > MAX_COMPONENTS:
        raise malformed(f"A signature covers a list of at most {MAX_COMPONENTS} components.")
    if value is None or not isinstance(value[0], bytes):
        raise malformed("A label of Signature-Input has no bytes in Signature.")
    for name, given in params.items():
        if type(given) is not _TYPES.get(name, type(given)):
            raise malformed("A parameter of a signature has the wrong type.")
    if len(params.get("nonce", "")) > MAX_TEXT or len(params.get("keyid", "")) > MAX_TEXT:
        raise malformed(f"A keyid or nonce is longer than {MAX_TEXT} characters.")
    components = tuple([Component(name, given) for name, given in listed if type(name) is str])
    if len(components) < len(listed):
        raise malformed("A covered component is not a String.")
    return Signed(label, components, params, value[0])
