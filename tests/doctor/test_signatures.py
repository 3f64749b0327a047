"""What the doctor says of signed requests."""

from __future__ import annotations

import pytest

from auth_agent import Settings
from auth_agent.doctor.checks.signatures import examine_signatures
from auth_agent.flow.exchange import HttpResponse
from tests.protocol.signatures.signing import new_key
from tests.website.browser import drive
from tests.website.directories import Directories

BOT = "https://bot.example"


@pytest.fixture
def find(server):
    server.directory = Directories()

    def run(listed, **changes):
        settings = Settings(
            issuer=server.issuer,
            client_id="c",
            client_secret="s",
            secret="x" * 32,
            base_url="https://shop.example",
            signatures=listed,
            **changes,
        )
        found = drive(examine_signatures(settings), server)
        return [(one.check, one.level, one.message) for one in found]

    return run


def test_without_signatures_it_says_and_fetches_nothing(find, server):
    assert find("") == []
    assert server.directory.asked == []


def test_a_directory_with_keys_is_good(find, server):
    server.directory.publish(BOT, new_key(), new_key())
    found = find(f"{BOT},issuer,https://id.example/agents/*")
    assert ("signatures.directory", "ok", f"{BOT} publishes its keys: 2.") in found
    assert len(server.directory.asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "cannot be fetched"),
        (HttpResponse(500, {}, b""), "answers 500"),
        (HttpResponse(200, {"content-type": "text/html"}, b"<p>"), "other than a key set"),
    ],
)
def test_a_directory_that_cannot_be_used_is_a_warning(find, server, answer, words):
    server.directory.fail(BOT, answer)
    ((check, level, message),) = [one for one in find(BOT) if "directory" in one[0]]
    assert (check, level) == ("signatures.directory", "warning")
    assert words in message


def test_an_empty_directory_is_a_warning(find, server):
    server.directory.publish(BOT)
    assert any("contains no usable key" in message for _, _, message in find(BOT))


def test_a_star_and_the_memory_of_each_process_are_told(find):
    found = {check: level for check, level, _ in find("*")}
    assert found == {"signatures.anybody": "warning", "signatures.nonces": "note"}
    kept = find("*", session_store="redis://localhost")
    assert [check for check, _, _ in kept] == ["signatures.anybody"]
