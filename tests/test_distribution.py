"""The distribution as users get it: a wheel, installed into an empty environment."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from auth_agent.extras import DISTRIBUTION, EXTRAS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds the wheel and the sdist as `make build` does."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return wheel, sdist


class Machine:
    """An empty virtual environment, without any variable of ours."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False)
        self.bin = folder / "bin"
        self.folder = folder

    def install(self, wheel, *extras):
        wanted = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        into = ["--python", self.bin / "python", "install", "--quiet", "--no-compile"]
        subprocess.run([*pip, *into, wanted], check=True, capture_output=True)

    def run(self, *command):
        environ = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.folder)}
        return subprocess.run(  # noqa: PLW1510
            command, env=environ, cwd=self.folder, capture_output=True, text=True, timeout=120
        )

    def distributions(self):
        code = (
            "import importlib.metadata as m;"
            "print(*{d.metadata['Name'].lower() for d in m.distributions()})"
        )
        found = self.run("python", "-c", code).stdout.split()
        return set(found)


@pytest.fixture(scope="module")
def machine(built, tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("machine"))
    machine.install(built[0])
    return machine


def test_both_hold_the_licence_and_the_types(built):
    wheel, sdist = built
    names = zipfile.ZipFile(wheel).namelist()
    packages = {
        "auth_agent",
        *(path.name for path in (ROOT / "integrations").glob("auth_agent_*") if path.is_dir()),
    }
    for package in packages:
        assert f"{package}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "src/auth_agent/py.typed"} <= inside


def test_a_website_s_base_is_small(machine):
    found = machine.distributions()
    assert DISTRIBUTION in found
    assert len(found) <= 16 + (sys.version_info < (3, 11)), sorted(found)  # exceptiongroup


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("auth-agent",), "cli"),
        (("auth-agent", "serve"), "cli"),
        (("auth-agent", "client", "list"), "cli"),
    ],
)
def test_a_command_that_needs_an_extra_names_it_in_one_line(machine, command, extra):
    result = machine.run(*command)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert f"pip install '{DISTRIBUTION}[{extra}]'" in line


def test_the_doctor_needs_no_extra(machine):
    result = machine.run("auth-agent", "doctor")
    assert result.returncode == 1, result.stderr
    assert "AUTH_AGENT_ISSUER" in result.stdout
    assert machine.run("auth-agent", "doctor", "--site", "no-url").returncode == 2


def test_the_demo_runs_from_the_wheel(built, tmp_path):
    machine = Machine(tmp_path)
    machine.install(built[0], "cli")
    for command in (("serve",), ("client", "list"), ("agent", "list"), ("keys", "list"), ("demo",)):
        result = machine.run("auth-agent", *command)
        assert result.returncode == 2, (command, result.stderr)
        assert f"pip install '{DISTRIBUTION}[server]'" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    machine.install(built[0], "agent", "server", "starlette")
    shown = machine.run("auth-agent", "demo", "--once")
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_the_name_stands_once_and_the_documents_agree():
    assert PROJECT["name"] == DISTRIBUTION
    sources = [path for room in ("src", "integrations") for path in (ROOT / room).rglob("*.py")]
    naming = [path.name for path in sources if DISTRIBUTION in path.read_text()]
    assert naming == ["extras.py"]
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"):
        for wanted in re.findall(r"""pip install ["']?(auth[\w.-]+)""", path.read_text()):
            assert wanted == DISTRIBUTION, path


def test_every_extra_that_a_message_names_exists():
    extras = PROJECT["optional-dependencies"]
    assert set(EXTRAS.values()) <= set(extras)
    base = {re.split(r"[^\w.-]", wanted)[0] for wanted in PROJECT["dependencies"]}
    assert not base & set(EXTRAS)
