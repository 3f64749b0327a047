"""Signs an agent in to a test client of any framework."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from auth_agent.flow.drive import arun, run
from auth_agent.flow.effects import Flow
from auth_agent.testing.credentials import new_session
from auth_agent.website.agent import Agent
from auth_agent.website.gate import RelyingParty
from auth_agent.website.sign_in.arrival import arrive
from auth_agent.website.web.visit import Cookie, Visit

MAX_LAYERS = 1_000


def sign_in(client: Any, agent: Agent) -> Any:
    """Gives a test client the session of this agent, as its website would after a sign-in.

    Applies the website's policy and runs its `on_sign_in` hook: raises `SignInRefused` if either
    refuses the agent. `client` is a test client of Starlette, FastAPI, Flask, Django or Django REST
    Framework, or an httpx2 client whose transport holds the application. For an asynchronous client
    it has to be awaited: `await sign_in(client, agent)`.
    """
    relying_party = relying_party_behind(client)
    flow = _sign_in(agent, relying_party)
    if _is_async(client):
        return _sign_in_later(client, relying_party, flow)
    portal = getattr(client, "portal", None)
    if portal is not None:  # Starlette's client, entered: the hook belongs in its event loop
        cookie = portal.call(arun, flow)
    elif hasattr(client, "portal"):
        import anyio  # noqa: PLC0415

        cookie = anyio.run(arun, flow)
    else:
        cookie = run(flow)
    _set(client, cookie, relying_party)
    return None


async def _sign_in_later(client: Any, relying_party: RelyingParty, flow: Flow[Cookie]) -> None:
    _set(client, await arun(flow), relying_party)


class _Callback(Visit):
    """A visit without headers: the client has no session yet, or loses it."""

    @property
    def raw_path(self) -> str:
        return self.path

    @property
    def query(self) -> str:
        return ""

    def header(self, name: str) -> str | None:  # noqa: ARG002
        return None


def _sign_in(agent: Agent, relying_party: RelyingParty) -> Flow[Cookie]:
    """Completes the sign-in, as the callback does once the agent is known."""
    site, sessions = relying_party._site, relying_party._sessions
    since = yield from sessions.count_ends()
    visit = _Callback("GET", f"{site.settings.prefix}/callback")
    cookie, *_ = yield from arrive(visit, new_session(agent, site), since, sessions, site)
    return cookie


def relying_party_behind(client: Any) -> RelyingParty:
    """Returns the middleware around the client's application; `TypeError` if there is none."""
    seen: set[int] = set()
    waiting = [client]
    while waiting and len(seen) < MAX_LAYERS:
        layer = waiting.pop(0)
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        found = getattr(layer, "relying_party", None)
        if isinstance(found, RelyingParty):
            return found
        waiting += _inside(layer)
    raise TypeError(
        f"no AuthAgentMiddleware was found behind this {type(client).__name__}: sign_in needs the "
        "client of an application in this process. For a site in another process use "
        "session_cookies(agent, settings)."
    )


_NAMES = (
    *("app", "application", "wsgi_app", "middleware_stack", "handler", "_middleware_chain"),
    *("_transport", "get_response", "__wrapped__", "func", "router", "endpoint"),
)


def _inside(layer: Any) -> Iterator[Any]:
    """Returns the objects that an application, a middleware, a client or a wrapper wraps."""
    _build(layer)
    for name in _NAMES:
        value = getattr(layer, name, None)
        if value is not None and not isinstance(value, (str, bytes, int, dict)):
            yield value
    routes = getattr(layer, "routes", None)
    if isinstance(routes, (list, tuple)):
        yield from routes
    bound = getattr(layer, "__self__", None)
    if bound is not None:
        yield bound
    for cell in getattr(layer, "__closure__", None) or ():  # Django's and other functions
        try:
            if callable(cell.cell_contents):
                yield cell.cell_contents
        except ValueError:  # an empty cell
            continue


def _build(layer: Any) -> None:
    """Builds the middleware, which applications otherwise build at the first request."""
    if getattr(layer, "_middleware_chain", layer) is None and hasattr(layer, "load_middleware"):
        layer.load_middleware(is_async=type(layer).__name__.startswith("Async"))
    if getattr(layer, "middleware_stack", layer) is None and hasattr(
        layer, "build_middleware_stack"
    ):
        layer.middleware_stack = layer.build_middleware_stack()


def _is_async(client: Any) -> bool:
    """Returns True for Django's and httpx2's asynchronous clients."""
    return any(kind.__name__.startswith("Async") for kind in type(client).__mro__)


def _set(client: Any, cookie: Cookie, relying_party: RelyingParty) -> None:
    base_url = relying_party.settings.base_url
    jar: Any = getattr(client, "cookies", None)
    if hasattr(client, "set_cookie"):  # Flask's
        config = getattr(getattr(client, "application", None), "config", {})
        names = {"localhost", _host(base_url), _host(f"//{config.get('SERVER_NAME') or ''}")}
        for name in names - {""}:
            client.set_cookie(cookie.name, cookie.value, domain=name)
    elif hasattr(jar, "jar"):  # of httpx2, and of Starlette's client
        host = _host(str(client.base_url)) or _host(base_url)
        domain = host if "." in host else f"{host}.local"  # http.cookiejar's name for it
        jar.set(cookie.name, cookie.value, domain=domain)
    elif jar is not None:  # Django's
        jar[cookie.name] = cookie.value
        jar[cookie.name]["path"] = "/"
    else:
        raise TypeError(
            f"{type(client).__name__} keeps no cookies: send session_cookies(agent, settings)"
        )


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
