"""The name of the distribution, its optional parts, and the message if one is missing.

The name stands here and nowhere else in the code: `auth-agent` on PyPI is another program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

DISTRIBUTION = "auth-agent-kit"

# The extra for each module that the base installation lacks.
EXTRAS = {
    "alembic": "server",
    "asgiref": "django",
    "bcrypt": "server",
    "browser_use": "browser-use",
    "django": "django",
    "fastapi": "fastapi",
    "fastmcp": "mcp",
    "flask": "flask",
    "http_sf": "signatures",
    "jinja2": "server",
    "keyring": "keyring",
    "limits": "server",
    "mcp": "mcp",
    "prometheus_client": "server",
    "psycopg": "postgres",
    "python_multipart": "server",
    "redis": "redis",
    "rest_framework": "drf",
    "rich": "cli",
    "sqlalchemy": "server",
    "starlette": "starlette",
    "typer": "cli",
    "uvicorn": "server",
}


def install_hint(*extras: str) -> str:
    """Returns the command that installs these extras, for messages."""
    return f"pip install '{DISTRIBUTION}[{','.join(extras)}]'"


def missing_extra(error: ImportError, extra: str = "") -> str | None:
    """Returns one line that names the missing package and the command that installs it.

    None if the module belongs to no extra: then the import error is a defect, and is raised.
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return None
    wanted = install_hint(extra or EXTRAS[module])
    return f"This needs the package {module}. Install it with: {wanted}"


@contextmanager
def needed_for(extra: str) -> Iterator[None]:
    """Wraps imports: the error for a missing package names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if hint := missing_extra(error, extra):
            raise ModuleNotFoundError(hint, name=error.name) from None
        raise
