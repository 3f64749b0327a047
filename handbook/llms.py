"""llms.txt: what the documentation holds, in the order of its navigation, for models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_INCLUDE = re.compile(r'^--8<-- "([^":]+)"$', re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEAD = """# Auth Agent

> Lets AI agents sign in to websites with an identity of their own: middleware for Python
> websites, APIs and MCP servers, a self-hosted OAuth 2.1 / OpenID Connect server, an SDK and
> tools for agents.

An agent that meets the button "Sign in with Auth Agent" calls the tool
`sign_in_with_auth_agent(url)`, runs `auth-agent login URL`, or calls `AgentSDK.sign_in(url)`. It
never types its secret into a page.
"""


def navigation(root: Path) -> Any:
    """Returns the navigation of mkdocs.yml: section: [{title: page}, ...]."""
    return yaml.safe_load((root / "mkdocs.yml").read_text())["nav"]


def pages(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yields section, title and page (a path below docs/) in the order of the navigation."""
    for part in navigation(root):
        for section, entries in part.items():
            for entry in entries:
                for title, page in entry.items():
                    yield section, title, page


def llms(root: Path, written: Mapping[str, str]) -> str:
    """Returns llms.txt: each page, of the generated ones its new text, with its first sentence."""
    lines, last = [HEAD.rstrip()], ""
    for section, title, page in pages(root):
        if section != last:
            lines.append(f"\n## {section}\n")
            last = section
        text = written.get(f"docs/{page}") or (root / "docs" / page).read_text()
        text = _INCLUDE.sub(lambda found: (root / found[1]).read_text(), text)
        lines.append(f"- [{title}]({_address(page)}){_first_sentence(text)}")
    return "\n".join(lines) + "\n"


def _address(page: str) -> str:
    """Returns where the built site has a page, relative to llms.txt."""
    return f"{page.removesuffix('.md').removesuffix('index')}/".lstrip("/") or "./"


def _first_sentence(text: str) -> str:
    for paragraph in re.split(r"\n\s*\n", _FENCE.sub("", text)):
        plain = " ".join(paragraph.split())
        if plain and not plain.startswith(("#", "|", "-", "<", "!", "=", ">")):
            plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", plain).replace("*", "")
            first, *_ = re.split(r"(?<=\.) ", plain)
            return f": {first.rstrip('.:')}"
    return ""
