"""The reference of the server's HTTP API, from the document that it publishes itself."""

from __future__ import annotations

from typing import Any

from auth_agent.server.api.openapi.document import document
from handbook.reading import one_line

HEAD = """# HTTP

The JSON endpoints of the server. `GET /openapi.json` is the same as an OpenAPI 3.1 document. Errors have `error` and
`error_description`; [Error codes](../errors.md) explains them. Pages for browsers (`/authorize`, the console, the owners'
pages) are not listed.
"""


def http_api() -> str:
    """Returns the page about the endpoints."""
    described = document("https://id.example")
    lines = [HEAD, "| operation | what it does | authenticated by |", "|---|---|---|"]
    operations = [
        (path, method.upper(), operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    for path, method, operation in operations:
        lines.append(f"| `{method} {path}` | {operation['summary']} | {_secured(operation)} |")
    for path, method, operation in operations:
        lines += _details(path, method, operation, described)
    return "\n".join(lines) + "\n"


def _secured(operation: dict[str, Any]) -> str:
    names = (name.replace("_", " ") for each in operation.get("security", []) for name in each)
    return ", ".join(names) or "–"


def _details(path: str, method: str, operation: dict[str, Any], whole: Any) -> list[str]:
    body = next(iter(operation.get("requestBody", {}).get("content", {}).values()), {})
    rows = [
        (each["name"], each["in"], each["required"], each["schema"])
        for each in operation.get("parameters", [])
    ]
    rows += _properties(body.get("schema", {}), "body", whole)
    status, done = next(iter(operation["responses"].items()))
    answer = next(iter(done.get("content", {}).values()), {}).get("schema", {})
    answers = _properties(answer, "answer", whole)
    lines = [f"\n## {method} {path}\n", f"{operation['summary']}. Answers {status}.", ""]
    if rows or answers:
        lines += ["| name | in | required | type |", "|---|---|---|---|"]
        lines += [
            f"| `{name}` | {where} | {'yes' if required else ''} | {_type(schema)} |"
            for name, where, required, schema in [*rows, *answers]
        ]
    return lines


def _properties(schema: dict[str, Any], where: str, whole: Any) -> list[tuple[str, str, bool, Any]]:
    if "$ref" in schema:
        schema = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    required = schema.get("required", [])
    return [
        (name, where, name in required, kind) for name, kind in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    shown = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return one_line(shown)
