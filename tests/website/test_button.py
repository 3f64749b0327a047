"""The button: what a website's page gets, and that nobody can put something else into it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from auth_agent import login_button, login_button_style
from auth_agent.mark import ICON, mark
from auth_agent.testing import test_settings
from auth_agent.website.web.button import CSS, LOOKS

EVIL = "\"><script>alert(1)</script>'"


class Reader(HTMLParser):
    """What a browser finds in a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("large", [False, True])
def test_it_is_a_link_that_says_what_it_is(look, large):
    found = Reader(login_button("/auth-agent/login?next=/me", look=look, large=large))
    tag, attributes = found.tags[0]
    assert (tag, attributes["href"]) == ("a", "/auth-agent/login?next=/me")
    assert found.text == "Sign in with Auth Agent"
    for name in attributes["class"].split():
        assert f".{name}" in CSS or name == "auth-agent-button--light"


def test_an_icon_alone_says_its_text_to_screen_readers():
    found = Reader(login_button("/login", icon_only=True, text="Mit Auth Agent anmelden"))
    assert found.text == ""
    assert found.tags[0][1]["aria-label"] == "Mit Auth Agent anmelden"
    assert found.tags[1][1]["aria-hidden"] == "true"


@pytest.mark.parametrize("icon_only", [False, True])
def test_foreign_text_stays_text(icon_only):
    found = Reader(login_button(EVIL, text=EVIL, icon_only=icon_only))
    assert found.tags[0][1]["href"] == EVIL
    assert "script" not in [tag for tag, _ in found.tags]
    assert Reader(login_button_style(EVIL)).tags == [("style", {"nonce": EVIL})]


def test_another_look_is_refused():
    with pytest.raises(ValueError, match="light, dark, outline"):
        login_button("/login", look="rainbow")


def test_it_needs_no_inline_style_and_no_script():
    tags = Reader(login_button("/login")).tags
    assert all(not {"style", "onclick"} & set(attributes) for _, attributes in tags)


def test_templates_insert_it_as_it_is():
    jinja2 = pytest.importorskip("jinja2")
    page = jinja2.Environment(autoescape=True).from_string("{{ button }}")
    assert page.render(button=login_button("/login")) == login_button("/login")


def test_the_icon_is_the_mark_and_has_no_quote():
    assert unquote(ICON.removeprefix("data:image/svg+xml,")) == mark(32)
    assert not set("\"'<> ") & set(ICON)
    assert ElementTree.fromstring(mark(32)).tag.endswith("svg")  # noqa: S314


def _luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(2 * each for each in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_letters_and_borders_can_be_seen():
    for rule in (r"\.auth-agent-button\{(.*?)\}", r"\.auth-agent-button--dark\{(.*?)\}"):
        body = re.search(rule, CSS, re.DOTALL)[1]
        paper = re.search(r"background:[^;]*#(\w+)", body)[1]
        ink = re.search(r"[;{\n]color:[^;]*#(\w+)", f"\n{body}")[1]
        edge = re.search(r"border(?:-color)?:[^;]*#(\w+)", body)[1]
        assert _contrast(paper, ink) >= 7
        assert _contrast(paper, edge) >= 3


def test_flask_has_it_in_templates():
    flask = pytest.importorskip("flask")
    from auth_agent_flask import AuthAgent

    app = flask.Flask("shop")
    AuthAgent(app, test_settings())
    text = '{{ auth_agent_button_style("n") }}{{ auth_agent_button("/me", look="dark") }}'
    app.add_url_rule("/", view_func=lambda: flask.render_template_string(text), endpoint="home")
    shown = app.test_client().get("/").text
    dark = login_button("/auth-agent/login?next=/me", look="dark")
    assert shown == login_button_style("n") + dark


def test_starlette_has_it_for_a_request():
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from auth_agent_starlette import AuthAgentMiddleware
    from auth_agent_starlette import login_button as button

    async def home(request):
        return HTMLResponse(button(request, "//evil.example", large=True))

    app = AuthAgentMiddleware(Starlette(routes=[Route("/", home)]), test_settings())
    shown = TestClient(app).get("/").text
    assert shown == login_button("/auth-agent/login?next=/", large=True)
