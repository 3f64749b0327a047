"""Variables of the environment under our prefix, as websites and servers read them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

# Kubernetes describes each Service of a namespace in variables that begin with the Service's name,
# so a Service called `auth-agent` puts these under our prefix (and so do container links).
_INJECTED = re.compile(
    r"(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_ADDR|_PORT|_PROTO)?)"
)
_INJECTED_PORT = re.compile(r"(?:[A-Z0-9_]+_)?PORT")
_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def variables(
    environ: Mapping[str, str], prefix: str, known: Collection[str], foreign: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yields the variables under the prefix, except those that a platform put there.

    Always yields a known variable, and never one under a foreign prefix.
    """
    for variable, text in environ.items():
        if variable in known:
            yield variable, text
        elif not variable.startswith(prefix) or variable.startswith(foreign):
            continue
        elif not is_injected(variable.removeprefix(prefix), text):
            yield variable, text


def is_injected(name: str, text: str) -> bool:
    """Returns True if a platform made this variable for a service; `name` is without the prefix."""
    if _INJECTED.fullmatch(name):
        return True
    return bool(_INJECTED_PORT.fullmatch(name) and _ADDRESS.match(text))


def unknown_variable(variable: str, known: Collection[str]) -> str:
    """Returns the problem of a variable that is no setting, with the nearest setting's name."""
    close = difflib.get_close_matches(variable, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "remove it or correct its name."
    return f"{variable} is not a setting: {hint}"


def as_boolean(value: Any) -> bool:
    """Returns true, 1, yes, on, or their opposites, as a boolean; raises ValueError for others."""
    found = _BOOLEANS.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"must be true or false, not {value!r}")
    return found
