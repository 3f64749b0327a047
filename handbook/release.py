"""`python -m handbook.release VERSION`: writes a version into pyproject.toml and CHANGELOG.md.

Refuses if something is not committed, if the version is not newer, or if nothing has changed. It
commits nothing and publishes nothing.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys

from handbook.contents import ROOT

_VERSION = re.compile(r'^version = "(\d+)\.(\d+)\.(\d+)"$', re.MULTILINE)
_UNRELEASED = "## [Unreleased]\n"


class Refused(Exception):
    """The release cannot begin; the message names the remedy."""


def with_version(project: str, version: str) -> str:
    """Returns pyproject.toml with a newer version."""
    wanted = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version)
    if wanted is None:
        raise Refused(f"{version!r} is not a version; write e.g. 0.2.0")
    found = _VERSION.search(project)
    if found is None:
        raise Refused("pyproject.toml has no version")
    if tuple(map(int, wanted.groups())) <= tuple(map(int, found.groups())):
        raise Refused(f"{version} is not newer than {'.'.join(found.groups())}")
    return project[: found.start()] + f'version = "{version}"' + project[found.end() :]


def with_section(changelog: str, version: str, day: datetime.date) -> str:
    """Returns the changelog with what was unreleased under the version."""
    before, heading, rest = changelog.partition(_UNRELEASED)
    changes = rest.partition("\n## [")[0]
    if not heading or "\n- " not in changes:
        raise Refused("CHANGELOG.md has nothing under [Unreleased]; write what users notice")
    return f"{before}{_UNRELEASED}\n## [{version}] - {day.isoformat()}\n{rest}"


def main() -> int:
    """Writes both files, or says what is in the way."""
    version = sys.argv[1] if len(sys.argv) == 2 else ""
    changed = subprocess.run(
        ["git", "status", "--porcelain"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if changed:
        print("release: there are uncommitted changes; commit or drop them first", file=sys.stderr)
        return 2
    project, changelog = ROOT / "pyproject.toml", ROOT / "CHANGELOG.md"
    try:
        today = datetime.datetime.now(datetime.timezone.utc).date()
        texts = (
            with_version(project.read_text(), version),
            with_section(changelog.read_text(), version, today),
        )
    except Refused as problem:
        print(f"release: {problem}", file=sys.stderr)
        return 2
    for path, text in zip((project, changelog), texts, strict=True):
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
