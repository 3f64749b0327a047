"""The tests of the Django adapter on every other Django that the package promises: `make django`.

The project's environment has one Django. Each other one goes into a folder of its own, in which
Python looks first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import metadata, version
from pathlib import Path

from auth_agent.extras import DISTRIBUTION

ROOT = Path(__file__).parent.parent
PYTHONS = {"6.0": (3, 12)}  # the oldest one of each series, where it is newer than ours
MEMBER = "Framework :: Django :: "
TESTS = [
    *sorted((ROOT / "tests/adapters").glob("test_django*.py")),
    "tests/adapters/test_behaviours.py",
]
RUN = """
import sys, django, pytest
assert django.get_version().startswith(sys.argv[1]), django.get_version()
sys.exit(pytest.main(sys.argv[2:]))
"""


def main() -> int:
    installed = version("django")
    for series in promised():
        if installed.startswith(f"{series}."):
            continue  # `make test` has run on it
        if sys.version_info < PYTHONS.get(series, (3, 10)):
            tell(f"Django {series} needs a newer Python than {sys.version.split()[0]}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            if not install(series, folder):
                tell(f"Django {series} is left out: the package index does not give it")
                if os.environ.get("CI"):
                    return 1
                continue
            tell(f"Django {series}")
            failed = run(series, folder)
            if failed:
                return failed
    return 0


def promised() -> list[str]:
    """Returns the series that the package's classifiers name."""
    classifiers = metadata(DISTRIBUTION).get_all("Classifier") or []
    return [name.removeprefix(MEMBER) for name in classifiers if name.startswith(MEMBER)]


def install(series: str, folder: str) -> bool:
    """Installs what goes with it too: REST framework follows Django's releases."""
    wanted = [f"django=={series}.*", "djangorestframework"]
    options = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--target", folder]
    done = subprocess.run([sys.executable, "-m", "pip", "install", *options, *wanted], check=False)
    return done.returncode == 0


def run(series: str, folder: str) -> int:
    options = ["-q", "-k", "django", "-p", "no:cacheprovider"]
    places = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-c", RUN, f"{series}.", *options, *map(str, TESTS)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


def tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
