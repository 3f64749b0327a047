"""The Flask extension: reads the configuration and puts the middleware in front of the app."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, has_request_context
from werkzeug.middleware.proxy_fix import ProxyFix

from auth_agent.errors import AuthError
from auth_agent.website.agent import Agent
from auth_agent.website.config.settings import ENV_PREFIX, Settings
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.policy.guard import check_order
from auth_agent.website.web.button import login_button_style
from auth_agent.website.web.own_page import Page
from auth_agent.wsgi import AuthAgentMiddleware
from auth_agent_flask.commands import group
from auth_agent_flask.views import current_agent, login_button, login_path, logout_path

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

Hook = Callable[..., Any]


class AuthAgent:
    """Lets agents in to a Flask application. Raises `SettingsError` if the settings are wrong.

    Give the application here, or to `init_app` in a factory. The hooks are those of `RelyingParty`,
    sync or async, called with an application context; `render_page` with a request context.
    """

    def __init__(
        self,
        app: Flask | None = None,
        settings: Settings | None = None,
        *,
        relying_party: RelyingParty | None = None,
        on_sign_in: Callable[[Agent], Any] | None = None,
        on_refused: Callable[[AuthError], Any] | None = None,
        on_sign_out: Callable[[Agent], Any] | None = None,
        is_welcome: Callable[[Agent], Any] | None = None,
        render_page: Callable[[Page], Any] | None = None,
        accounts: str | None = None,
    ) -> None:
        """Takes `settings` in place of environment and `app.config`, or a `relying_party`."""
        self._settings = settings
        self._relying_party = relying_party
        self._accounts = accounts
        self._render_page = render_page
        self._hooks: dict[str, Any] = {
            "on_sign_in": on_sign_in,
            "on_refused": on_refused,
            "on_sign_out": on_sign_out,
            "is_welcome": is_welcome,
        }
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Adds the middleware; each application gets its own relying party, if none was given."""
        relying_party = self._relying_party or RelyingParty(
            self._settings or read_settings(app.config),
            accounts=self._accounts,
            render_page=_in_request(app, self._render_page),
            **{name: _in_context(app, hook) for name, hook in self._hooks.items() if hook},
        )
        app.extensions["auth_agent"] = relying_party
        _wrap(app, relying_party)
        app.cli.add_command(group)
        app.jinja_env.globals.update(
            current_agent=current_agent,
            auth_agent_button=login_button,
            auth_agent_button_style=login_button_style,
            auth_agent_login_path=login_path,
            auth_agent_logout_path=logout_path,
        )


def _wrap(app: Flask, relying_party: RelyingParty) -> None:
    """Puts the middleware inside of every `ProxyFix`, which sets the application's mount point.

    All other middleware stays inside: it may answer requests itself, which need the guard.
    """
    outer: ProxyFix | None = None
    inner: WSGIApplication = app.wsgi_app
    while isinstance(inner, ProxyFix):
        outer, inner = inner, inner.app
    middleware = Middleware(app, inner, relying_party)
    if outer is None:
        app.wsgi_app = middleware  # type: ignore[method-assign]
    else:
        outer.app = middleware


class Middleware(AuthAgentMiddleware):
    """Wraps the whole application: views, static files and error pages."""

    def __init__(self, app: Flask, inner: WSGIApplication, relying_party: RelyingParty) -> None:
        super().__init__(inner, relying_party=relying_party)
        self._views: dict[str, Callable[..., Any]] | None = app.view_functions

    def attach(self, environ: WSGIEnvironment, entry: Entry) -> None:
        """Leaves the entry for `current_agent`, which marks the response once it is read."""
        if self._views is not None:  # the first request: by now all views are registered
            check_order(self._views.values())
            self._views = None
        environ["auth_agent.entry"] = entry


def read_settings(config: Mapping[str, Any]) -> Settings:
    """Reads `AUTH_AGENT_*` from the environment and from `app.config`, which overrides it."""
    given = {key: value for key, value in config.items() if key.startswith(ENV_PREFIX)}
    names = {key: key[len(ENV_PREFIX) :].lower() for key in given}
    known = {names[key]: value for key, value in given.items() if _is_setting(names[key])}
    others = {key: str(value) for key, value in given.items() if not _is_setting(names[key])}
    return Settings.from_env({**os.environ, **others}, **known)


def _is_setting(name: str) -> bool:
    return name in Settings.__struct_fields__


def _in_context(app: Flask, hook: Hook) -> Hook:
    @functools.wraps(hook)
    def call(*arguments: Any) -> Any:
        with app.app_context():
            return app.ensure_sync(hook)(*arguments)

    return call


def _in_request(app: Flask, render: Callable[[Page], Any] | None) -> Callable[[Page], Any] | None:
    """Returns the function for pages that are shown before and after Flask knows the request."""
    if render is None:
        return None

    def call(page: Page) -> Any:
        if has_request_context():
            return app.ensure_sync(render)(page)
        with app.request_context(page.request):
            return app.ensure_sync(render)(page)

    return call
