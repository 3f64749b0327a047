"""The paths that a rule covers, in every reading that some server makes of them."""

from __future__ import annotations

import posixpath
import re
from itertools import permutations
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auth_agent import SettingsError
from auth_agent.website.paths import is_protected, path_readings, public_path, raw_path

PATTERNS = ("/private/*", "/a/*/edit")

# Readers, written apart from the code: each of them is a server or a file system that exists.
READERS = {
    "decodes": unquote,
    "backslashes": lambda path: path.replace("\\", "/"),
    "merges": lambda path: re.sub("/+", "/", path),
    "parameters": lambda path: "/".join(name.partition(";")[0] for name in path.split("/")),
    "rest": lambda path: path.partition(";")[0],
    "ends": lambda path: "/".join(
        name if name in (".", "..") else name.rstrip(". ") for name in path.split("/")
    ),
    "nul": lambda path: path.partition("\0")[0],
    "query": lambda path: path.partition("?")[0],
    "dots": lambda path: posixpath.normpath(path or "/"),
    "case": str.lower,
}
PIECES = st.sampled_from(
    ["/", "//", "\\", "private", "PRIVATE", "a", "edit", "x", ".", "..", ";", ";a=b", " ", "%2e",
     "%2f", "%252f", "%5c", "%00", "\0", "%3b", "?", "%70rivate", "%", ":", "é", "secret.txt"]
)  # fmt: skip


@given(
    st.lists(PIECES, max_size=9).map(lambda pieces: "/" + "".join(pieces)),
    st.lists(st.sampled_from(sorted(READERS)), max_size=5, unique=True),
)
@settings(max_examples=500, deadline=None)
@example("/x/../private/;/../secret.txt", ["dots"])
@example("/x\0/../private/secret.txt", ["dots"])
@example("/private;/../x", ["rest"])
def test_what_some_reader_finds_below_a_pattern_is_protected(path, leniencies):
    """Combines the leniencies of readers: any subset, in any order."""
    for order in permutations(leniencies[:3]):
        read = path
        for name in order:
            read = READERS[name](read)
        if re.match(r"/+private(/|$)|/+a/.*/edit(/|$)", read, re.DOTALL):
            assert is_protected((path,), PATTERNS), (path, order, read)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
@settings(deadline=None)
def test_every_path_is_judged(path):
    assert is_protected((path,), PATTERNS) in (True, False)
    assert is_protected((path,), ("/*",)), "a rule for all"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/x",
        "/x.y/z",
        "/.well-known/x",
        "/private-x",
        "/x/..y",
        "/a/edit",
        "/Größe",
        "/100%",
        "/a b",
    ],
)
def test_what_good_clients_send_is_left_alone(path):
    assert not is_protected((path,), PATTERNS)


@pytest.mark.parametrize("path", ["/" + "%25" * 300, "/" + "%2525;/" * 200, "/" + "/;a." * 1_000])
def test_a_path_of_too_many_readings_is_protected_soon(path):
    assert is_protected((path,), PATTERNS) in (True, False)
    assert is_protected((f"{path}/" + quote("x" * 60_000),), PATTERNS) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "covered", "open_"),
    [
        ("/private", ["/private", "/private/", "/private/report"], ["/privateer", "/"]),
        ("/private/", ["/private", "/private/report"], ["/x"]),
        ("/private*", ["/private", "/privateer", "/private/x"], ["/priv"]),
        ("/*/edit", ["/a/edit", "/a/b/edit", "/a/edit/x"], ["/edit", "/a/editor"]),
        ("/*.pdf", ["/a.pdf", "/a/b.PDF", "/a.pdf/x"], ["/a.pdfs"]),
        ("/", ["/", "/x"], []),
        ("/Größe", ["/größe", "/GRÖSSE/x"], ["/grosse"]),
    ],
)
def test_a_pattern_covers_its_path_and_all_below_it(pattern, covered, open_):
    assert [path for path in covered if not is_protected((path,), (pattern,))] == []
    assert [path for path in open_ if is_protected((path,), (pattern,))] == []


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        ("/my%20files/*", "'/my files/*'"),
        ("/report?format=*", "'/report'"),
        ("/a//b/*", "'/a/b/*'"),
        ("/private;v=1/*", "'/private/*'"),
        ("\\private", "begin with a slash"),
        ("/private\\*", "'/private/*'"),
        ("/x/../private/*", "'..'"),
        ("/./private", "'..'"),
        ("/private./*", "'/private/*'"),
        ("/users/{id}/*", "'{'"),
        ("/users/<id>", "'<'"),
        ("/v[12]/*", "'['"),
        ("/x#y", "'/x'"),
        ("/\tx", "no path holds"),
        ("private/*", "begin with a slash"),
    ],
)
def test_a_pattern_that_guards_nothing_stops_the_start(make_site, pattern, remedy):
    with pytest.raises(SettingsError) as raised:
        make_site(protect=["/good/*", pattern])
    (problem,) = raised.value.problems
    assert problem.startswith(f"AUTH_AGENT_PROTECT pattern {pattern!r} ")
    assert remedy in problem


@pytest.mark.parametrize(
    ("root", "path", "public", "readings"),
    [
        ("", "/me", "/me", {"/me"}),
        ("/shop", "/me", "/shop/me", {"/me", "/shop/me"}),
        ("/shop/", "/me", "/shop/me", {"/me", "/shop/me"}),
        ("/shop", "/shop/me", "/shop/me", {"/shop/me", "/me", "/shop/shop/me"}),
        ("/shop", "/shop", "/shop", {"/shop", "", "/shop/shop"}),
        ("/shop", "/shopping", "/shop/shopping", {"/shopping", "/shop/shopping"}),
    ],
)
def test_the_public_path_of_a_mounted_application(root, path, public, readings):
    assert public_path(root, path) == public
    assert set(path_readings(root, path)) == readings


@pytest.mark.parametrize(
    ("public", "given", "target", "raw"),
    [
        ("/f/a%2Fb", "/f/a%2Fb", "", "/f/a%252Fb"),
        ("/f/a/b", "/f/a/b", "/f/a%2Fb", "/f/a%2Fb"),
        ("/shop/a/b", "/a/b", "/a%2Fb", "/shop/a%2Fb"),
        ("/shop/é", "/é", "/other", "/shop/%C3%A9"),
        ("/é", "/é", "/é", "/%C3%A9"),
    ],
)
def test_a_path_is_written_as_it_was_asked_for(public, given, target, raw):
    assert raw_path(public, given, target) == raw


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/customers/*", "/CUSTOM~1/ann.txt"),
        ("/customers/*", "/cu4f2a~1/ann.txt"),
        ("/customers/*", "/CUSTOM~12"),
        ("/my reports", "/MYREPO~1/q1.txt"),
        ("/files/secret-plans.json", "/files/SECRET~1.JSO"),
        ("/a/long-folder-name/b", "/a/LONG-F~1/b"),
        ("/a/long-folder-name/b", "/a/LONG-F~1/c"),
        ("/a.b.c/x", "/AB2F1~1.C/x"),
        ("/*-internal/x", "/TEAM-I~1/x"),
        ("/größe/x", "/GR7C1A~1/x"),
    ],
)
def test_the_second_name_that_windows_gives_to_a_file_is_protected(pattern, path):
    assert is_protected([path], [pattern])


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("/private/*", "/~ann/private"), ("/customers/*", "/~ann"), ("/customers/*", "/orders/a~1"),
     ("/a.txt", "/b~1.txt")],
)  # fmt: skip
def test_other_names_with_a_tilde_are_public(pattern, path):
    assert not is_protected([path], [pattern])
