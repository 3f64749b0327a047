"""The path of a visit, and whether a pattern of `AUTH_AGENT_PROTECT` covers it.

A path is protected if any reading of it by some server, framework or file system is protected.
A path that no well-behaved client sends is protected as soon as there is a pattern.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from urllib.parse import unquote

from auth_agent.url import quote_path

MAX_REMEMBERED = 1_024  # characters of a path; a longer one is checked each time
# Readings of one path; beyond them it counts as protected.
MAX_READINGS, MAX_TEXT = 64, 65_536

# Control characters, broken UTF-8, and segments of dots alone: browsers resolve `.` and `..` before
# they send a request (WHATWG URL 4.4), and readers disagree about where they lead.
_STRANGE = re.compile(r"[\x00-\x1f\x7f\ufffd\ud800-\udfff]|(?:^|[/\\])\.[. ]*(?=[/\\;:?#]|$)")
_FOREIGN = re.compile(r"[^\S ]|[\x00-\x1f\x7f\ufffd\ud800-\udfff<>{}\[\]]")
_OF_PATTERNS: tuple[Callable[[str], str], ...] = (
    lambda path: path.replace("\\", "/"),
    lambda path: re.sub(r"//+", "/", path),
    lambda path: re.sub(r";[^/\\]*", "", path),  # `;parameters` (RFC 3986 3.3)
    lambda path: re.sub(r"[. ]+(?=[/\\;:]|$)", "", path),  # a name's end on Windows
    lambda path: path if path.isascii() else unicodedata.normalize("NFKC", path),
)
LENIENCIES: tuple[Callable[[str], str], ...] = (
    *_OF_PATTERNS,
    unquote,  # a second decoding
    lambda path: re.sub(r":[^/\\]*", "", path),  # a stream of NTFS
    lambda path: re.split(r"[?#]", path, maxsplit=1)[0],
)


def public_path(root: str, path: str) -> str:
    """Returns the path that the browser sent to an application mounted at `root`.

    Some servers give the path with its root, others without it.
    """
    root = root.rstrip("/")
    if not root or path == root or path.startswith(f"{root}/"):
        return path
    return root + path


def path_readings(root: str, path: str) -> tuple[str, ...]:
    """Returns every path that some router reads: as given, without its root, and below it."""
    root = root.rstrip("/")
    if not root:
        return (path,)
    is_below = path == root or path.startswith(f"{root}/")
    return (path, root + path, path.removeprefix(root) if is_below else path)


def raw_path(public: str, given: str, target: str) -> str:
    """Returns the public path percent-encoded as the browser did, if `target` shows that.

    `target` is the path of the request line. It counts only if it stands for the path that the
    application was given, because proxies and middleware rewrite paths.
    """
    if target and target.isascii():
        decoded = unquote(target)
        if decoded == public:
            return target
        if decoded == given and public.endswith(given):
            return quote_path(public.removesuffix(given)) + target
    return quote_path(public)


def is_protected(paths: Iterable[str], patterns: Sequence[str]) -> bool:
    """Returns True if a pattern covers one of the paths, in any reading."""
    if not patterns:
        return False
    given = tuple(patterns)
    return any(
        _remembered(path, given) if len(path) <= MAX_REMEMBERED else _covers(path, given)
        for path in paths
    )


def pattern_problem(pattern: str) -> str | None:
    """Returns why no request path could equal the pattern, and what to write instead, or None."""
    if not pattern.startswith("/"):
        return "must begin with a slash, e.g. /private/*"
    decoded = unquote(pattern)
    if decoded != pattern:
        return f"is percent-encoded, but paths are compared decoded: write {decoded!r}"
    if "?" in pattern or "#" in pattern:
        return f"holds a query or a fragment, but only paths are compared: write {_cut(pattern)!r}"
    if (found := _FOREIGN.search(pattern)) or _STRANGE.search(pattern):
        shown = found[0] if found else ".."
        return f"holds {shown!r}, which no path holds: use slashes, names and * for any text"
    tidy = pattern
    for leniency in _OF_PATTERNS:
        tidy = leniency(tidy)
    if tidy != pattern:
        return f"is not in the form in which paths are compared: write {tidy!r}"
    return None


def _cut(pattern: str) -> str:
    return re.split(r"[?#]", pattern, maxsplit=1)[0]


@lru_cache(maxsize=4_096)
def _remembered(path: str, patterns: tuple[str, ...]) -> bool:
    return _covers(path, patterns)


def _covers(path: str, patterns: tuple[str, ...]) -> bool:
    cover = _compiled(patterns)
    size, readings, waiting = 0, {path}, [path or "/"]
    while waiting:
        reading = waiting.pop()
        size += len(reading)
        if size > MAX_TEXT or len(readings) > MAX_READINGS:
            return True
        if not reading.startswith(("/", "\\")) or _STRANGE.search(reading):
            return True
        if cover(_fold(reading)):
            return True
        for leniency in LENIENCIES:
            other = leniency(reading)
            if other not in readings:
                readings.add(other)
                waiting.append(other or "/")
    return False


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Returns one expression for all patterns; each covers its own path and everything below it."""
    known = [known for pattern in map(_fold, patterns) for known in (pattern, *_short(pattern))]
    parts = [_expression(pattern, number) for number, pattern in enumerate(known)]
    expression: re.Pattern[str] = re.compile("|".join(parts), re.DOTALL)
    return expression.fullmatch


_NEEDS_NO_SHORT_NAME = re.compile(r"[a-z0-9_$%'@!()^#&{}-]{1,8}(\.[a-z0-9_$%'@!()^#&{}-]{1,3})?")


def _short(pattern: str) -> Iterator[str]:
    """Yields patterns for the second names that Windows gives to files and folders.

    `/customers` is `/CUSTOM~1` there, too, or `/CU4F2A~1`: the two first letters, a tilde later on.
    Below such a name everything counts as protected.
    """
    names = pattern.split("/")[1:]
    for place, name in enumerate(names):
        if name not in ("", "*") and not _NEEDS_NO_SHORT_NAME.fullmatch(name):
            first = re.match(r"[a-z0-9]{0,2}", name)
            yield "/".join(("", *names[:place], f"{first[0] if first else ''}*~*"))


def _expression(pattern: str, number: int) -> str:
    """Translates a pattern; `/private/*` covers `/private`, too, so that the rule has no gap."""
    base = pattern.removesuffix("/*").rstrip("/")
    first, *middle = (re.escape(part) for part in re.split(r"\*+", base))
    last = f".*{middle.pop()}" if middle else ""
    # Each text between two stars is searched once, so that no path can make this slow.
    atoms = "".join(
        f"(?=(?P<p{number}_{index}>.*?{part}))(?P=p{number}_{index})"
        for index, part in enumerate(middle)
    )
    return f"(?:{first}{atoms}{last}(?:/.*)?)"


def _fold(text: str) -> str:
    """Folds case: some file systems do not distinguish upper and lower case."""
    return text.upper().casefold()
