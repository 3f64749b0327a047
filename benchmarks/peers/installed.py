"""Installs the peers' packages on demand into `.bench/`, which git ignores."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.peer import MissingError
from benchmarks.peers.process import ROOT

FOLDER = ROOT / ".bench"
INSTALL_TIMEOUT = 600  # seconds


def node_modules(*packages: str) -> Path:
    """Returns a folder in which Node.js finds the packages."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise MissingError("needs node and npm; install Node.js 20 or later")
    folder = FOLDER / "node"
    quiet = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    _install(folder, packages, [[npm, "install", "--prefix", str(folder), *quiet, *packages]])
    return folder


def virtualenv(*packages: str) -> Path:
    """Returns the Python of a virtual environment that holds the packages."""
    folder = FOLDER / "python"
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install(folder, packages, [[sys.executable, "-m", "venv", str(folder)], [*pip, *packages]])
    return python


def _install(folder: Path, packages: tuple[str, ...], commands: list[list[str]]) -> None:
    """Does nothing if the folder holds these packages already."""
    stamp, wanted = folder / "installed.txt", "\n".join(packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing {', '.join(packages)} into {os.path.relpath(folder)} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for command in commands:
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise MissingError(f"{command[0]} took over {INSTALL_TIMEOUT} s to install") from None
        if done.returncode:
            raise MissingError(
                f"cannot be installed: {(done.stderr or done.stdout).strip()[-500:]}"
            )
    stamp.write_text(wanted)
