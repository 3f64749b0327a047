"""What is Flask's own: factories, configuration, the proxy, every shape of view, templates."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import pytest
from flask import Blueprint, Flask, abort, render_template_string, request
from flask.views import MethodView, View
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from auth_agent import Agent, RelyingParty, Settings, SettingsError, SignInRefused
from auth_agent_flask import (
    AuthAgent,
    current_agent,
    login_path,
    logout_path,
    no_agents,
    requires_agent,
)
from tests.services import website_environ
from tests.test_readme import example

JSON = {"Accept": "application/json"}
PAGE = {"Accept": "text/html"}


@pytest.fixture
def config(provider):
    """Returns `app.config` of a site at the URL that Flask's test client visits."""
    return {
        **website_environ(provider, "http://localhost"),
        "AUTH_AGENT_PROTECT": ["/private/*", "/static/*"],
    }


@pytest.fixture
def make_app(config):
    """Builds the application in a factory, as Flask's documentation shows it."""

    def create_app(auth_agent=None, **changes):
        app = Flask(__name__, static_folder="templates", static_url_path="/static")
        app.config.update(config, **changes)
        (auth_agent or AuthAgent()).init_app(app)

        @app.get("/")
        def home():
            return {"agent": current_agent.id if current_agent else None}

        return app

    return create_app


def sign_in(app, provider, **agent):
    """Returns a `FlaskClient` whose agent has signed in."""
    client = app.test_client()
    begun = client.get("/auth-agent/login?next=/")
    callback = urlsplit(provider.approve(begun.location, agent=agent))
    back = client.get(f"{callback.path}?{callback.query}")
    assert (back.status_code, back.location) == (303, "/"), back.text
    return client


def test_a_factory_makes_a_site_that_agents_sign_in_to(make_app, provider):
    client = sign_in(make_app(), provider)
    assert client.get("/").json == {"agent": "agent_7"}
    assert client.post("/auth-agent/logout").status_code == 303
    assert client.get("/").json == {"agent": None}


def test_one_extension_serves_several_applications(make_app, provider):
    extension = AuthAgent()
    shop, forum = (
        make_app(extension),
        make_app(extension, AUTH_AGENT_BASE_URL="http://127.0.0.1:5000"),
    )
    client = sign_in(shop, provider)
    assert client.get("/").json == {"agent": "agent_7"}
    assert forum.test_client().get("/").json == {"agent": None}
    both = Client(DispatcherMiddleware(shop, {"/forum": forum}))
    assert both.get("/forum/").json == {"agent": None}


def test_an_application_in_another_takes_its_own_agent(make_app, provider):
    """Gives the inner one a prefix below its own path: both see the path that the visitor typed."""
    shop = make_app()
    forum = make_app(AUTH_AGENT_PREFIX="/forum/auth-agent", AUTH_AGENT_PROTECT=["/forum/*"])
    both = Client(DispatcherMiddleware(shop, {"/forum": forum}))
    answer = both.get("/forum/", headers=PAGE)
    assert answer.location.startswith("/forum/auth-agent/login?next=")
    assert provider.issuer in both.get(answer.location).location


def test_the_environment_configures_and_app_config_wins(config, monkeypatch):
    for variable, value in config.items():
        text = value if isinstance(value, str) else ",".join(value)
        monkeypatch.setenv(variable, text)
    app = Flask(__name__)
    app.config["AUTH_AGENT_PREFIX"] = "/agents"
    AuthAgent(app)
    settings = app.extensions["auth_agent"].settings
    assert (settings.prefix, settings.issuer) == ("/agents", config["AUTH_AGENT_ISSUER"])


def test_every_mistake_in_app_config_is_told_at_once():
    app = Flask(__name__)
    app.config.update(AUTH_AGENT_PROTEKT=["/x"], AUTH_AGENT_ISSUER=7, SECRET_KEY="x")
    with pytest.raises(SettingsError) as caught:
        AuthAgent(app)
    told = str(caught.value)
    assert "AUTH_AGENT_PROTEKT is not a setting: did you mean AUTH_AGENT_PROTECT?" in told
    assert "AUTH_AGENT_ISSUER must be text" in told
    assert "AUTH_AGENT_BASE_URL is missing" in told


def test_without_the_extension_a_view_says_what_is_missing():
    app = Flask(__name__)
    app.get("/")(requires_agent(lambda: "in"))
    app.testing = True
    with pytest.raises(SettingsError, match="call AuthAgent\\(app\\)"):
        app.test_client().get("/")


@pytest.mark.parametrize("path", ["/private/nothing-here", "/static/style.css", "/private/%2e%2e"])
def test_a_protected_path_is_refused_whatever_flask_has_there(make_app, path):
    assert make_app().test_client().get(path, headers=JSON).status_code == 401


def test_a_page_of_an_error_knows_the_agent_and_is_private(make_app, provider):
    app = make_app()

    @app.errorhandler(404)
    def lost(error):
        return f"Lost, {current_agent.name}?", 404

    answer = sign_in(app, provider, name="Ada").get("/nowhere")
    assert (answer.status_code, answer.text) == (404, "Lost, Ada?")
    assert answer.headers["Cache-Control"] == "private"


@pytest.mark.parametrize("path", ["/", "/breaks", "/nowhere", "/before"])
def test_a_renewed_session_reaches_the_browser_with_every_answer(config, provider, path):
    """Errors too, and what a `before_request` of the site answers in the view's place."""
    now = [1_800_000_000.0]
    provider.clock = lambda: now[0]
    settings = Settings.from_env({k: v for k, v in config.items() if isinstance(v, str)})
    app = Flask(__name__)
    AuthAgent(app, relying_party=RelyingParty(settings, clock=lambda: now[0]))

    @app.before_request
    def closed():
        return "closed" if request.path == "/before" else None

    @app.get("/breaks")
    def breaks():
        raise RuntimeError("a bug of the site")

    app.get("/")(lambda: "home")
    client = sign_in(app, provider)
    now[0] += 2_000
    logging.disable(logging.ERROR)  # Flask logs the bug
    try:
        answer = client.get(path)
    finally:
        logging.disable(logging.NOTSET)
    assert answer.headers["Set-Cookie"].startswith("auth_agent_")
    assert answer.headers["Cache-Control"] == "no-store"


def test_current_agent_is_false_where_there_is_none(make_app):
    assert not current_agent
    with make_app().test_request_context("/"):
        assert not current_agent
        with pytest.raises(AttributeError):
            _ = current_agent.id


def test_current_agent_stands_for_the_agent(make_app, provider):
    app = make_app()
    seen = []
    app.after_request(lambda response: seen.append(isinstance(current_agent, Agent)) or response)
    answer = sign_in(app, provider).get("/static/nothing")
    assert seen[-1] is True
    assert answer.headers["Vary"] == "Cookie, Authorization"


def test_every_shape_of_view_is_guarded(make_app, provider):
    app = make_app()
    reports = Blueprint("reports", __name__, url_prefix="/reports")

    @reports.get("/sync")
    @requires_agent
    def sync():
        return "sync"

    @reports.get("/async")
    @requires_agent(models=["claude-*"])
    async def asynchronous():
        return "async"

    class Single(View):
        decorators = (requires_agent,)

        def dispatch_request(self):
            return "view"

    class Many(MethodView):
        decorators = (requires_agent(models=["claude-*"]),)

        async def get(self):
            return "methods"

        def post(self):
            return "posted"

    reports.add_url_rule("/view", view_func=Single.as_view("single"))
    reports.add_url_rule("/methods", view_func=Many.as_view("many"))
    app.register_blueprint(reports)
    guarded = Blueprint("guarded", __name__, url_prefix="/guarded")
    guarded.before_request(requires_agent(lambda: None))
    guarded.get("/any")(lambda: "any")
    app.register_blueprint(guarded)

    stranger, agent = app.test_client(), sign_in(app, provider)
    other = sign_in(app, provider, model="gpt-5")
    answers = {
        "/reports/sync": "sync",
        "/reports/async": "async",
        "/reports/view": "view",
        "/reports/methods": "methods",
        "/guarded/any": "any",
    }
    for path, text in answers.items():
        assert stranger.get(path, headers=JSON).status_code == 401, path
        assert stranger.head(path, headers=JSON).status_code == 401, path
        assert agent.get(path).text == text
    assert stranger.post("/reports/methods", headers=JSON).status_code == 401
    assert agent.post("/reports/methods").text == "posted"
    assert other.get("/reports/sync").status_code == 200
    for path in ("/reports/async", "/reports/methods"):
        answer = other.get(path, headers=JSON)
        assert (answer.status_code, answer.json["error"]) == (403, "access_denied")


@pytest.mark.parametrize("guard", [requires_agent, requires_agent(scopes=["a"]), no_agents])
def test_a_guard_above_the_route_is_told_before_anybody_is_let_in(make_app, guard):
    """Refuses to start: Flask has already registered the bare view, which would be open."""
    app, blueprint = make_app(), Blueprint("shop", __name__)
    guard(app.get("/secret")(lambda: "secret"))
    guard(blueprint.get("/other")(lambda: "other"))
    app.register_blueprint(blueprint)
    for path in ("/secret", "/other", "/"):  # nobody is let in anywhere
        with pytest.raises(SettingsError, match="guard stands above") as told:
            app.test_client().get(path)
        assert len(told.value.problems) == 2


def test_one_function_may_stand_open_and_guarded(make_app):
    app = make_app()
    app.add_url_rule("/open", "open", catalogue := lambda: "catalogue")
    app.add_url_rule("/closed", "closed", requires_agent(catalogue))
    assert app.test_client().get("/open").text == "catalogue"
    assert app.test_client().get("/closed", headers=JSON).status_code == 401


@pytest.mark.parametrize("mistake", ["reports:read", MethodView])
def test_what_is_no_view_cannot_be_guarded(mistake):
    with pytest.raises(TypeError, match=r"is not a view|is a class"):
        requires_agent(mistake)


def test_a_place_may_be_kept_for_humans(make_app, provider):
    app = make_app()

    @app.get("/humans")
    @no_agents
    def humans():
        return "welcome"

    assert app.test_client().get("/humans").text == "welcome"
    assert sign_in(app, provider).get("/humans", headers=JSON).status_code == 403


def test_a_refused_visitor_comes_back_to_the_very_page(make_app, provider):
    app = make_app()
    app.get("/straße/<name>")(requires_agent(lambda name: name))
    path = "/stra%C3%9Fe/a%20b?q=%2F&r=%26"
    client = app.test_client()
    login = client.get(client.get(path, headers=PAGE).location)
    callback = urlsplit(provider.approve(login.location))
    assert client.get(f"{callback.path}?{callback.query}").location == path
    assert client.get(path).text == "a b"


def test_a_view_may_abort_and_a_stranger_never_gets_that_far(make_app, provider):
    app = make_app()
    app.get("/gone")(requires_agent(lambda: abort(410)))
    assert app.test_client().get("/gone", headers=JSON).status_code == 401
    assert sign_in(app, provider).get("/gone").status_code == 410


def test_templates_know_the_agent_and_the_buttons(make_app, provider):
    app = make_app()
    template = (
        "{% macro who() %}{{ current_agent.name if current_agent else 'nobody' }}{% endmacro %}"
        "{{ who() }} {{ auth_agent_login_path('/me?a=b') }} {{ auth_agent_logout_path() }}"
    )

    @app.get("/page")
    def page():
        assert (login_path("/x"), logout_path()) == (
            "/auth-agent/login?next=/x",
            "/auth-agent/logout",
        )
        return render_template_string(template)

    paths = "/auth-agent/login?next=/me%3Fa%3Db /auth-agent/logout"
    assert app.test_client().get("/page").text == f"nobody {paths}"
    assert sign_in(app, provider).get("/page").text == f"Shopping agent {paths}"


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_hooks_run_inside_the_application(make_app, provider, colour):
    told = []

    def note(kind, app_name, value):
        told.append((kind, app_name, value))
        return 42

    def hook(kind):
        def call(value):
            from flask import current_app

            return note(kind, current_app.name, getattr(value, "id", None) or value.code)

        async def acall(value):
            return call(value)

        return acall if colour == "async" else call

    extension = AuthAgent(
        on_sign_in=hook("in"), on_sign_out=hook("out"), on_refused=hook("refused")
    )
    app = make_app(extension)
    app.get("/account")(lambda: str(current_agent.account_id))
    client = sign_in(app, provider)
    assert client.get("/account").text == "42"
    client.post("/auth-agent/logout")
    assert client.get("/auth-agent/callback?state=x&code=y", headers=JSON).status_code == 400
    assert told == [
        ("in", app.name, "agent_7"),
        ("out", app.name, "agent_7"),
        ("refused", app.name, "state_unknown"),
    ]


def test_a_hook_may_refuse_a_sign_in(make_app, provider):
    def blocked(agent):
        raise SignInRefused("This agent is blocked here.", code="agent_blocked", status_code=403)

    client = make_app(AuthAgent(on_sign_in=blocked)).test_client()
    callback = urlsplit(provider.approve(client.get("/auth-agent/login").location))
    answer = client.get(f"{callback.path}?{callback.query}", headers=JSON)
    assert (answer.status_code, answer.json["error"]) == (403, "agent_blocked")
    assert client.get("/").json == {"agent": None}


def test_nothing_of_flasks_own_sessions_and_flashes_is_touched(make_app, provider):
    from flask import flash, get_flashed_messages, session

    app = make_app(SECRET_KEY="flask's own")

    @app.get("/flash")
    def write():
        session["human"] = "ann"
        flash("hello")
        return {"agent": current_agent.id}

    app.get("/read")(lambda: {"human": session["human"], "flashes": get_flashed_messages()})
    client = sign_in(app, provider)
    assert client.get("/flash").json == {"agent": "agent_7"}
    assert client.get("/read").json == {"human": "ann", "flashes": ["hello"]}
    client.post("/auth-agent/logout")
    assert client.get("/read").json["human"] == "ann"


def test_the_readmes_example_lets_agents_in(provider, config, monkeypatch):
    for name, value in config.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else ",".join(value))
    namespace = {"__name__": "readme"}
    exec(example("flask"), namespace)  # noqa: S102  # our own README
    app = namespace["app"]
    assert app.test_client().get("/me", headers=JSON).status_code == 401
    answer = sign_in(app, provider).get("/me")
    assert answer.json == {"agent": "agent_7", "model": "claude-opus-4"}
