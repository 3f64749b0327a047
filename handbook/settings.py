"""The reference of settings, from their declarations: name, default, meaning, bounds."""

from __future__ import annotations

from typing import Any

import msgspec

from auth_agent.cli.agent.options import VARIABLES as AGENT_VARIABLES
from auth_agent.secret import Secret
from auth_agent.server.bounds import NUMBERS as SERVER_BOUNDS
from auth_agent.server.config.fields import Fields as ServerFields
from auth_agent.server.settings import VARIABLES as SERVER_VARIABLES
from auth_agent.website.config.bounds import NUMBERS as WEBSITE_BOUNDS
from auth_agent.website.config.fields import Fields as WebsiteFields
from auth_agent.website.config.settings import ENV_PREFIX
from handbook.reading import field_docs, one_line

HEAD = """An empty variable counts as not set. If a setting is wrong or its name is misspelt, the start fails with the cause and the remedy ("did you mean …?"). Lists are separated by commas, times are whole seconds, and booleans are
`true`, `1`, `yes`, `on` or `false`, `0`, `no`, `off`."""

WEBSITE = f"""# Settings of a website

Every setting is an environment variable. The same names, in lower case and without the prefix, are the arguments of
`Settings`; Flask has them in `app.config`, Django in `AUTH_AGENT`.

{HEAD}

Register `{{AUTH_AGENT_BASE_URL}}{{AUTH_AGENT_PREFIX}}/callback` as the redirect URI.
"""
SERVER = f"""# Settings of the server

Every setting is an environment variable `AUTH_AGENT_SERVER_…`.

{HEAD} Variables that Kubernetes makes for a Service called `auth-agent` are ignored.

`auth-agent admin create` also reads `AUTH_AGENT_ADMIN_PASSWORD`, the password of the new administrator.
"""
AGENT = """# Settings of an agent's tools

`auth-agent login` and `auth-agent mcp` read these variables, and a `.env` file in the current folder;
`AgentSDK` takes its settings as arguments.

| variable | meaning |
|---|---|
"""


def website() -> str:
    """Returns the page about the settings of a website."""
    names = {ENV_PREFIX + name.upper(): name for name in WebsiteFields.__struct_fields__}
    return WEBSITE + _entries(WebsiteFields, names, WEBSITE_BOUNDS)


def server() -> str:
    """Returns the page about the settings of the server."""
    return SERVER + _entries(ServerFields, SERVER_VARIABLES, SERVER_BOUNDS)


def agent() -> str:
    """Returns the page about the variables of an agent's tools."""
    rows = [f"| `{name}` | {one_line(text)} |" for name, text in AGENT_VARIABLES.items()]
    return AGENT + "\n".join(rows) + "\n"


def _entries(kind: Any, names: dict[str, str], bounds: dict[str, tuple[int, int]]) -> str:
    docs = field_docs(kind)
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    parts = []
    for variable, name in names.items():
        field = fields[name]
        default = "" if field.required else _shown(field.default)
        notes = [f"Default: `{default}`."] if default else []
        if name in bounds:
            low, high = (f"{bound:,}".replace(",", " ") for bound in bounds[name])
            notes.append(f"From {low} to {high}.")
        after = f"\n\n{' '.join(notes)}" if notes else ""
        parts.append(f"\n### `{variable}`\n\n{' '.join(docs[name].split())}{after}\n")
    return "".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return " ".join(value)
    return "" if value is None else str(value)
