"""Packages of npm for tests: each set is installed once per checkout, by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[1] / ".bench" / "npm"  # ignored by git
_INSTALL = ("npm", "install", "--no-audit", "--no-fund", "--silent")
_TIMEOUT = 300  # seconds


def installed(*packages: str) -> Path | None:
    """Returns a folder in which Node.js finds the packages; None where npm cannot install them.

    Several processes run tests at once, and a folder that npm is still filling has some files
    and not others: a lock keeps them apart, and a stamp says that the installation has ended.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None
    folder = _FOLDER / hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "installed.txt"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            shutil.rmtree(folder / "node_modules", ignore_errors=True)
            command = (npm, *_INSTALL[1:], *packages)
            if subprocess.run(command, cwd=folder, check=False, timeout=_TIMEOUT).returncode:
                return None
            stamp.write_text("\n".join(packages))
    return folder


def node_modules(folder: Path, *packages: str) -> Path:
    """Makes and returns `node_modules` in the folder of a script that imports the packages.

    Skips the test where npm cannot install them.
    """
    found = installed(*packages)
    if found is None:
        pytest.skip(f"npm cannot install {', '.join(packages)} here (Debian: apt-get install npm)")
    modules = folder / "node_modules"
    modules.symlink_to(found / "node_modules")
    return modules
