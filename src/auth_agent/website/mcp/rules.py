"""The requirements for each tool, resource or prompt of an MCP server."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import get_args
from urllib.parse import unquote

from auth_agent.website.mcp.message import Kind, Target
from auth_agent.website.policy.requirement import ANY_AGENT, Requirement

Patterns = Mapping[str, Requirement]

_KINDS = get_args(Kind)
# What readers of URLs leave out (WHATWG URL 4.4): `inv<tab>oice://1` is `invoice://1` to them.
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))
_AROUND = "".join(map(chr, range(0x21)))
MAX_REMEMBERED = 256  # characters of a name; a longer one is checked again each time


class Rules:
    """Patterns of names (`delete_*`) and URIs (`invoice://*`); all that match apply.

    Names are compared exactly, as servers do. A URI matches in any spelling that some server
    treats as the same: a rule with a gap is worse than one that is too wide.
    """

    def __init__(
        self,
        tools: Patterns | None = None,
        resources: Patterns | None = None,
        prompts: Patterns | None = None,
        *,
        always: Requirement = ANY_AGENT,
    ) -> None:
        self.always = always
        given = dict(zip(_KINDS, (tools, resources, prompts), strict=True))
        self._matching = lru_cache(maxsize=4_096)(self._match)
        self._patterns = {kind: dict(patterns or {}) for kind, patterns in given.items()}
        for kind, patterns in self._patterns.items():
            for pattern, requirement in patterns.items():
                if not isinstance(pattern, str) or not isinstance(requirement, Requirement):
                    raise TypeError(
                        f"{kind} maps each pattern to a Requirement, and {pattern!r} is not "
                        "mapped to one"
                    )

    @property
    def scopes(self) -> tuple[str, ...]:
        """Returns every scope of the rules, for the metadata."""
        wanted = [*self.always.scopes]
        for patterns in self._patterns.values():
            for requirement in patterns.values():
                wanted += requirement.scopes
        return tuple(dict.fromkeys(wanted))

    def requirements(self, targets: Iterable[Target]) -> Iterator[Requirement]:
        """Returns the general requirements, and those of the patterns that match these targets."""
        yield self.always
        for target in targets:
            if self._patterns[target.kind]:
                short = len(target.name) <= MAX_REMEMBERED
                yield from self._matching(target) if short else self._match(target)

    def _match(self, target: Target) -> tuple[Requirement, ...]:
        names = _readings(target.name) if target.kind == "resources" else {target.name}
        patterns = self._patterns[target.kind].items()
        return tuple(
            requirement for pattern, requirement in patterns if _covers(pattern, names, target.kind)
        )


def _covers(pattern: str, names: Iterable[str], kind: Kind) -> bool:
    pattern = pattern.lower() if kind == "resources" else pattern
    return any(fnmatchcase(name, pattern) for name in names)


def _readings(uri: str) -> set[str]:
    """Returns the URI as given and as lenient servers read it, in lower case."""
    readings = set()
    for spelling in (uri, unquote(uri), unquote(unquote(uri))):
        lower = spelling.translate(_DROPPED).strip(_AROUND).strip().lower()
        scheme, separator, rest = lower.partition("://")
        path = posixpath.normpath(rest.replace("\\", "/"))
        readings |= {lower, lower.rstrip("/"), f"{scheme}{separator}{path}"}
        readings |= {reading.partition(mark)[0] for reading in set(readings) for mark in "?#"}
    return readings
