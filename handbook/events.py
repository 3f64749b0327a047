"""The reference of events and metrics: a website's log, the server's audit, Prometheus."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from auth_agent.server.storage.audit import KINDS
from auth_agent.server.web.counters import families
from auth_agent.website.events import EVENTS
from handbook.reading import sources

WEBSITE = """# Events and metrics

## A website's log

The logger `auth_agent` writes these events at level INFO or WARNING. `record.auth_agent` is a dictionary with `event` and
the facts of the second column that are known; never a token, a code, a secret or a cookie.

| event | facts | means |
|---|---|---|
"""
SERVER = """
## The server's audit

Each line has a kind and an outcome, who did it, and which agent or website it is about. `/console/audit` shows them, the logger
`auth_agent.server.audit` writes them, and `auth_agent_events_total{kind,outcome}` counts them.

| kind | outcomes | means |
|---|---|---|
"""
METRICS = """
## The server's metrics

`GET /metrics`, in Prometheus' text format: [Watch the server](../server/monitoring.md).

| metric | labels | means |
|---|---|---|
"""


def events(root: Path) -> str:
    """Returns the page about events."""
    logged = website_events(root)
    rows = [f"| `{name}` | {_words(logged[name])} | {text} |" for name, text in EVENTS.items()]
    recorded = server_events(root)
    kinds = [f"| `{kind}` | {_words(recorded[kind])} | {text} |" for kind, text in KINDS.items()]
    metrics = [f"| `{name}` | {_words(labels)} | {text} |" for name, labels, text in families()]
    parts = (WEBSITE, *_lines(rows), SERVER, *_lines(kinds), METRICS, *_lines(metrics))
    return "".join(parts)


def website_events(root: Path) -> dict[str, list[str]]:
    """Returns event: facts, of every call of `log_event`."""
    found: dict[str, list[str]] = {}
    rooms = (root / "src/auth_agent/website", root / "integrations")
    for call in _calls(sources(*rooms), ("log_event",)):
        name = _text(call.args[0]) if call.args else None
        if name is not None:
            facts = [each.arg for each in call.keywords if each.arg and each.arg != "level"]
            found[name] = list(dict.fromkeys([*found.get(name, []), *facts]))
    return found


def server_events(root: Path) -> dict[str, list[str]]:
    """Returns kind: outcomes, of every record in the audit whose words are in the code."""
    trees = sources(root / "src/auth_agent/server")
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for tree in trees.values():
        for call in _calls({Path(): tree}, ("record", "record_refusal", "_record")):
            words = {each.arg: texts(each.value) for each in call.keywords}
            plain = [word for each in call.args for word in texts(each)]
            kinds = words.get("kind", []) or [word for word in plain if word in KINDS]
            for kind in kinds or _kind_of(tree):
                found.setdefault(kind, [])
                found[kind] += [*words.get("outcome", []), *(set(plain) - set(KINDS))]
    return {kind: sorted(set(outcomes)) for kind, outcomes in found.items()}


def _kind_of(tree: ast.Module) -> list[str]:
    """Returns the kind that a module with one kind of record names at its top."""
    return [
        word
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "KIND"
        for word in texts(node.value)
    ]


def _calls(trees: dict[Path, ast.Module], names: tuple[str, ...]) -> list[ast.Call]:
    return [
        node
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", None) or getattr(node.func, "attr", None)) in names
    ]


def _text(node: ast.expr) -> str | None:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else None  # type: ignore[attr-defined]


def texts(node: Any) -> list[str]:
    """Returns the words that an expression can be, as far as it shows them."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    text = _text(node)
    return [] if text is None else [text]


def _words(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words) or "–"


def _lines(rows: list[str]) -> list[str]:
    return [row + "\n" for row in rows]
