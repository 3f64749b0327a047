"""The reference of the Python API: the public names of each public module, and their docstrings."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

MODULES = (
    "auth_agent",
    "auth_agent.asgi",
    "auth_agent.wsgi",
    "auth_agent_starlette",
    "auth_agent_starlette.fastapi",
    "auth_agent_flask",
    "auth_agent_django",
    "auth_agent_django.rest_framework",
    "auth_agent_mcpserver",
    "auth_agent.sdk",
    "auth_agent.testing",
    "auth_agent.server",
)
HEAD = """# Python

The names that a program can import. Each keeps its path and its meaning. Every other module can change.
"""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def python_api() -> str:
    """Returns the page about the public names."""
    return HEAD + "".join(_module(name) for name in MODULES)


def _module(name: str) -> str:
    module = importlib.import_module(name)
    text = inspect.getdoc(module) or ""
    return f"\n## {name}\n\n{_prose(text)}\n" + "".join(
        _name(each, getattr(module, each)) for each in _names(module)
    )


def _names(module: Any) -> list[str]:
    """Returns what the module promises: its `__all__`, or else the public names of its own."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = (name for name, value in vars(module).items()
           if getattr(value, "__module__", "") == module.__name__)  # fmt: skip
    return sorted(name for name in own if not name.startswith("_"))


def _prose(text: str) -> str:
    """Returns a docstring: its first paragraph as text, what follows as it stands."""
    first, _, rest = text.partition("\n\n")
    shown = " ".join(first.split())
    return f"{shown}\n\n```text\n{rest.strip()}\n```" if rest.strip() else shown


def _name(name: str, value: Any) -> str:
    is_class, is_function = inspect.isclass(value), inspect.isroutine(value)
    if not (is_class or is_function):
        return f"\n### `{name}`\n"
    text = inspect.getdoc(value) if is_function or value.__doc__ else ""
    lines = [f"\n### `{name}`\n", f"```text\n{name}{_signature(value)}\n```", ""]
    lines += [_prose(text or ""), ""]
    methods = list(_methods(value)) if is_class else []
    if methods:
        lines += ["| member | what it does |", "|---|---|", *methods]
    return "\n".join(lines).rstrip() + "\n"


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    kept = [
        each.replace(annotation=inspect.Parameter.empty)
        for name, each in signature.parameters.items()
        if not name.startswith("_")
    ]
    shown = signature.replace(parameters=kept, return_annotation=inspect.Signature.empty)
    return _ADDRESS.sub("", str(shown))


def _methods(kind: type) -> Iterator[str]:
    """Yields a row for every public method and property of ours that says what it does."""
    members = {name: each for base in reversed(kind.__mro__) for name, each in vars(base).items()}
    for name, value in sorted(members.items()):
        target = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        target = target.fget if isinstance(target, property) else target
        ours = str(getattr(target, "__module__", "")).startswith("auth_agent")
        text = inspect.getdoc(target) or ""
        if name.startswith("_") or not ours or not text or not inspect.isroutine(target):
            continue
        first = " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")
        call = "" if isinstance(value, property) else "()"
        yield f"| `{name}{call}` | {first} |"
