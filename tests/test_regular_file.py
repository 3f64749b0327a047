"""Each file that the program opens by itself: a pipe is not waited for, a device is not read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from auth_agent.cli.agent.dotenv import add_identity
from auth_agent.errors import SettingsError
from auth_agent.regular_file import read_regular
from auth_agent.sdk import AgentSDK, TokenManager
from auth_agent.sdk.identity.credentials import SECRET_FILE, find_secret
from auth_agent.server.security.secret_file import secret_path, server_secrets
from auth_agent.server.settings import ServerSettings
from auth_agent.website.config.converters import _as_key

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes with names")


@pytest.fixture(params=["pipe", "device"])
def odd(request, tmp_path):
    """Returns a function that puts a file at a path which never ends, or never begins."""

    def put(path: Path) -> Path:
        if request.param == "pipe":
            os.mkfifo(path, 0o600)
        else:
            path.symlink_to("/dev/zero")
        return path

    return put


def test_the_env_file_of_a_folder_is_ignored_aloud(odd, tmp_path):
    environ = {}
    assert "no regular file" in add_identity(environ, odd(tmp_path / ".env"))
    assert environ == {}


def test_a_secret_tokens_and_keys_are_refused(odd, tmp_path):
    path = odd(tmp_path / "odd.pem")
    with pytest.raises(SettingsError, match="no regular file"):
        find_secret({SECRET_FILE: str(path)}, "agent_x")
    with pytest.raises(SettingsError, match="no regular file"):
        TokenManager(path=path)
    for given in ({"private_key": path}, {"signing_key": path}):
        with pytest.raises(SettingsError, match="no regular file"):
            AgentSDK(agent_id="agent_x", server_url="https://id.example", **given)
    with pytest.raises(ValueError, match="neither a PEM"):
        _as_key(str(path))


def test_the_server_s_own_secret_is_refused(odd, tmp_path):
    settings = ServerSettings(
        issuer="http://127.0.0.1:9100", database=f"sqlite:///{tmp_path}/auth.db"
    )
    odd(secret_path(settings.database))
    with pytest.raises(SettingsError, match="no regular file"):
        server_secrets(settings)


def test_a_file_has_a_bound_and_a_folder_is_none(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * 11)
    assert read_regular(path, 11)[0] == b"x" * 11
    for place, number in ((path, errno.EFBIG), (tmp_path, errno.EISDIR)):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            read_regular(place, 10)
        assert caught.value.errno == number
