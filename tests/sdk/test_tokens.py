"""Tokens that are kept: in memory for threads, in a private file for the next start."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth_agent import SettingsError
from auth_agent.sdk import TokenManager, TokenResponse

NOW = 1_000_000.0
TOKENS = TokenResponse(
    access_token="at.1.x", expires_in=100, refresh_token="rt_1", id_token="id.1", scope="openid"
)


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


def test_an_empty_manager():
    tokens = TokenManager()
    assert tokens.is_expired()
    assert tokens.get_access_token() is tokens.access_token is None
    assert tokens.refresh_token is tokens.id_token is None


def test_expiry_counts_a_minute_early():
    clock = Clock()
    tokens = TokenManager(clock=clock)
    tokens.set_tokens(TOKENS)
    clock.now = NOW + 39.9
    assert (tokens.is_expired(), tokens.get_access_token()) == (False, "at.1.x")
    clock.now = NOW + 40
    assert (tokens.is_expired(), tokens.get_access_token()) == (True, None)
    assert (tokens.access_token, tokens.refresh_token, tokens.id_token) == (
        *("at.1.x", "rt_1", "id.1"),
    )


def test_tokens_may_come_as_a_mapping_and_go():
    tokens = TokenManager()
    tokens.set_tokens({"access_token": "at.1.x", "expires_in": 100, "new": 1})
    assert tokens.access_token == "at.1.x"
    tokens.clear()
    assert tokens.access_token is None
    assert "at.1.x" not in repr(tokens)


def test_a_file_outlives_the_process(tmp_path):
    path, clock = tmp_path / "tokens.json", Clock()
    tokens = TokenManager(path=path, clock=clock)
    assert not path.exists()
    tokens.set_tokens(TOKENS)
    clock.now += 30
    again = TokenManager(path=path, clock=clock)
    assert (again.access_token, again.refresh_token) == ("at.1.x", "rt_1")
    assert not again.is_expired()
    clock.now += 10  # the time that has passed since counts
    assert again.is_expired()
    again.clear()
    assert not path.exists()
    assert TokenManager(path=path).access_token is None


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
def test_the_file_is_its_owners_alone(tmp_path):
    path = tmp_path / "tokens.json"
    before = os.umask(0)
    try:
        TokenManager(path=path).set_tokens(TOKENS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        TokenManager(path=path)


def test_a_file_that_holds_something_else(tmp_path):
    path = tmp_path / "tokens.json"
    for content in ("{", "[]", '{"tokens": {}, "expires_at": 1}', '{"tokens": 1, "expires_at": 1}'):
        path.write_text(content)
        path.chmod(0o600)
        with pytest.raises(SettingsError, match="holds no tokens"):
            TokenManager(path=path)


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "tokens.json"
    writer = TokenManager(path=path)
    writer.set_tokens(TOKENS)

    def write(number):
        writer.set_tokens({"access_token": f"at.{number}" * 500, "refresh_token": str(number)})

    def read(_):
        kept = TokenManager(path=path)
        assert kept.access_token
        return True

    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(write, number) for number in range(40)]
        assert all(pool.map(read, range(100)))
        for done in writes:
            done.result()
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokens.json"]
    assert TokenManager(path=path).refresh_token == writer.refresh_token


def test_what_cannot_be_written_is_told_and_stays_in_memory(tmp_path):
    path = tmp_path / "gone" / "tokens.json"
    tokens = TokenManager(path=path)
    with pytest.raises(FileNotFoundError):
        tokens.set_tokens(TOKENS)
    assert tokens.access_token == "at.1.x"
