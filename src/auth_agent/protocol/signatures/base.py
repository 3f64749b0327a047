"""The signature base: the text that is signed (RFC 9421 2.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from auth_agent.errors import SignatureRefused
from auth_agent.protocol.signatures.fields import Component, Signed, malformed, member_of
from auth_agent.protocol.signatures.message import Message

MAX_QUERY_FIELDS = 1_000


def signature_base(message: Message, signed: Signed) -> bytes:
    """Returns the base; raises `SignatureRefused` if the message lacks what is covered.

    Linear in the size of the message for each of the components, of which there are few.
    """
    lines: list[str] = []
    texts: list[str] = []
    for component in signed.components:
        text = component.text()
        texts.append(text)
        value = _value(message, component)
        if "\n" in value or "\r" in value:
            raise malformed("A covered component contains a line break.")
        lines.append(f"{text}: {value}")
    if len({component.identity for component in signed.components}) < len(texts):
        raise malformed("The signature covers a component twice.")
    lines.append(f'"@signature-params": {signed.params_text(texts)}')
    whole = "\n".join(lines)
    if not whole.isascii():
        raise malformed("A covered component contains characters that are not ASCII.")
    return whole.encode("ascii")


def _value(message: Message, component: Component) -> str:
    name, params = component
    if "req" in params:  # 2.4: the request that a response answers
        if params["req"] is not True or message.request is None:
            raise _unknown()
        message = message.request
        params = {key: value for key, value in params.items() if key != "req"}
    if name.startswith("@"):  # 7.5: never looked up as a header
        return _derived(message, name, params)
    if (params and set(params) != {"key"}) or name != name.lower():
        raise _unknown()
    field = message.header(name)
    if field is None:
        raise SignatureRefused(
            "The signature covers a header that the request lacks.",
            code="signature_incomplete",
        )
    if "key" not in params:
        return field.strip(" \t")
    key = params["key"]
    if not isinstance(key, str):
        raise _unknown()
    return member_of(field, key)


def _derived(message: Message, name: str, params: Mapping[str, Any]) -> str:
    if name == "@query-param" and set(params) == {"name"} and message.method:
        return _query_parameter(message, params["name"])
    find = _DERIVED.get(name)
    if find is None or params or not message.method:  # a response has none of these
        raise malformed("The signature covers a component that this website does not support.")
    return find(message)


def _query_parameter(message: Message, name: object) -> str:
    """Returns the value of the one parameter of this name, encoded again (2.2.8)."""
    try:
        pairs = parse_qsl(
            message.query or "", keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError:
        raise malformed("The query has too many parameters to be covered one by one.") from None
    values = [value for found, value in pairs if _encoded(found) == name]
    if len(values) != 1:
        raise SignatureRefused(
            "The signature covers a query parameter that the request does not have exactly once.",
            code="signature_incomplete",
        )
    return _encoded(values[0])


def _encoded(text: str) -> str:
    """Percent-encodes as forms do, with %20 for a space (WHATWG URL 5.2)."""
    return quote(text, safe="*-._").replace("~", "%7E")


def _unknown() -> SignatureRefused:
    return malformed(
        "A covered component has a name or parameter that this website does not support."
    )


_DERIVED: dict[str, Callable[[Message], str]] = {
    "@method": lambda message: message.method,
    "@authority": lambda message: message.authority,
    "@scheme": lambda message: message.scheme,
    "@target-uri": lambda message: message.origin + message.target,
    "@path": lambda message: message.path or "/",
    "@query": lambda message: f"?{message.query or ''}",
    "@request-target": lambda message: message.target,
}
