"""A part of the tests on the lowest version of every dependency that is declared: `make lowest`.

A bound is a promise that nobody runs otherwise: pip installs the newest. Each lower bound of
`pyproject.toml` becomes a constraint, in an environment of its own; a bound that another
dependency contradicts, or that never was a version, fails the installation.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
# No newer version than these has a wheel for that Python, and nobody builds the lower one there.
NEWER_PYTHONS = (3, 13)
# What runs the tests is no promise, so it comes as the index gives it, within the constraints.
TOOLS = ["pytest", "hypothesis", "flask[async]", "gunicorn", "httpx", "hypercorn", "waitress"]
TOOLS += ["websockets", "playwright", "http-message-signatures"]
OPTIONS = [
    *("-p", "no:cacheprovider"),
    *("-k", "not fastmcp"),  # which asks for newer ones by itself
    *("-W", "default::DeprecationWarning"),  # of an old version, about a newer one below it
]
TESTS = [
    "tests/protocol",
    "tests/flow",
    "tests/website/test_bearer.py",
    "tests/website/test_session.py",
    "tests/website/test_settings.py",
    "tests/website/test_sign_in.py",
    "tests/adapters/test_real_server.py",
    "tests/server/api/test_discovery.py",
    "tests/server/oauth/test_token.py",
    "tests/sdk/test_flow.py",
    "tests/sdk/test_session.py",
    "tests/sdk/test_tools.py",
    "tests/cli/server/test_resources.py",
    "tests/cli/agent/test_mcp.py",
    "tests/mcpserver/test_guard.py",
]


def main() -> int:
    if sys.version_info[:2] > NEWER_PYTHONS:
        tell(f"left out: this Python is newer than {'.'.join(map(str, NEWER_PYTHONS))}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        python = install(Path(folder))
        if python is None:
            tell("the lowest versions cannot be installed together; raise the bound that pip names")
            return 1
        command = [python, "-m", "pytest", "-q", *OPTIONS, *TESTS]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


def lowest(project: dict[str, Any]) -> list[str]:
    """Returns a constraint for each lower bound of the package and of its extras.

    All extras are installed together, so the highest bound of a name is the one that counts.
    """
    found: dict[str, tuple[Version, str]] = {}
    extras = project["optional-dependencies"].values()
    written = {*project["dependencies"], *(line for extra in extras for line in extra)}
    for requirement in map(Requirement, sorted(written)):
        for bound in requirement.specifier:
            if bound.operator == ">=":
                marker = f"; {requirement.marker}" if requirement.marker else ""
                line = f"{requirement.name}=={bound.version}{marker}"
                one = (Version(bound.version), line)
                found[requirement.name] = max(found.get(requirement.name, one), one)
    return [line for _, line in found.values()]


def install(folder: Path) -> Path | None:
    """Returns the Python of an environment with these versions, None if there can be none."""
    constraints = folder / "lowest.txt"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    constraints.write_text("\n".join(lowest(project)))
    python = folder / "environment/bin/python"
    options = ["--quiet", "--disable-pip-version-check", "--constraint", str(constraints)]
    steps = [
        [sys.executable, "-m", "venv", str(folder / "environment")],
        [python, "-m", "pip", "install", *options, "--editable", f"{ROOT}[all]", *TOOLS],
    ]
    environ = {**os.environ, "PYTHONWARNINGS": "ignore"}
    for step in steps:
        if subprocess.run(step, env=environ, check=False).returncode:
            return None
    return python


def tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
