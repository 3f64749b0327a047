"""`protect`: an ASGI application around an MCP server, without decisions of its own.

The middleware of every ASGI application recognises the agent; `auth_agent.website.mcp` decides;
this module reads a request, writes a refusal, and passes everything else on unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from auth_agent.asgi import App, AuthAgentMiddleware, Message, Receive, Scope, Send, send_reply
from auth_agent.website.config.checks import IDENTITY_SCOPES
from auth_agent.website.config.settings import ENV_PREFIX, Settings
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.mcp.door import Door
from auth_agent.website.mcp.message import Rpc, all_targets
from auth_agent.website.mcp.routing import Routing, read_routing
from auth_agent.website.mcp.rules import Patterns, Rules
from auth_agent.website.policy.requirement import ANY_AGENT, Requirement
from auth_agent.website.web.outcome import Reply
from auth_agent_mcpserver.bodies import TooLarge, TooSlow, read_body, replay
from auth_agent_mcpserver.guarded import Guarded
from auth_agent_mcpserver.principal import principal
from auth_agent_mcpserver.servers import declared_scopes, guard_server
from auth_agent_mcpserver.streams import run_stream
from auth_agent_mcpserver.tools import entered

MAX_BODY = 4 * 1024 * 1024


def protect(
    server: Any,
    *,
    tools: Patterns | None = None,
    resources: Patterns | None = None,
    prompts: Patterns | None = None,
    requirement: Requirement = ANY_AGENT,
    hide: bool = False,
    public: Collection[str] = (),
    path: str | None = None,
    max_body: int = MAX_BODY,
    settings: Settings | None = None,
    relying_party: RelyingParty | None = None,
    **options: Any,
) -> Protected:
    """Lets only agents reach an MCP server, and each of its tools only those that may call it.

    `server` is an `MCPServer` of `mcp`, a server of FastMCP, or the ASGI application of either.
    `tools`, `resources` and `prompts` map patterns to requirements; `requirement` holds for all.
    `hide` leaves items out of the lists that the agent may not call. `public` are exact paths that
    need no agent. `path` is the endpoint, by default that of AUTH_AGENT_AUDIENCE, else `/mcp`.
    `options` go to `streamable_http_app` or `http_app`. Raises `SettingsError` for wrong settings.
    """
    rules = Rules(tools, resources, prompts, always=requirement)
    door = Door(rules, max_body=max_body)
    if relying_party is None:
        scopes = (*rules.scopes, *declared_scopes(server))
        relying_party = RelyingParty(api_settings(settings, path or "/mcp", scopes))
    guarded = guard_server(server, door, relying_party.settings, path, hide=hide, options=options)
    return Protected(_Guard(guarded, door, frozenset(public)), relying_party=relying_party)


def api_settings(settings: Settings | None, path: str, scopes: Iterable[str] = ()) -> Settings:
    """Returns the environment's settings; two variables are enough. The endpoint is in the
    audience.

    The metadata names `scopes` for clients unless AUTH_AGENT_API_SCOPES is set.
    """
    if settings is None:
        overrides: dict[str, Any] = {"sign_in": False}
        settings = Settings.from_env(**({} if f"{ENV_PREFIX}SIGN_IN" in os.environ else overrides))
    return msgspec.structs.replace(
        settings,
        audience=settings.audience or settings.base_url + path,
        api_scopes=settings.api_scopes
        or tuple(one for one in dict.fromkeys(scopes) if one not in IDENTITY_SCOPES),
    )


class Protected(AuthAgentMiddleware):
    """The guarded server, as an ASGI application."""

    app: _Guard

    @property
    def lifespan(self) -> Callable[[Any], Any]:
        """Returns the lifespan for an application that mounts this one, e.g.
        `FastAPI(lifespan=protected.lifespan)`.
        """
        found: Callable[[Any], Any] = self.app.app.router.lifespan_context  # type: ignore[attr-defined]
        return found


class _Guard:
    def __init__(self, guarded: Guarded, door: Door, public: frozenset[str]) -> None:
        self.app: App = guarded.app
        self._requirements_of = guarded.requirements_of
        self._door = door
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in self._public:
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send_reply(scope, receive, send, self._door.no_socket())
        else:
            await self._judge(scope, receive, send)

    async def _judge(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry = scope["auth_agent.entry"]
        routing = read_routing(scope["headers"])
        with entered(entry), principal(scope, entry.agent) as scope_for_app:
            targets = routing.targets
            said = await self._requirements_of(targets, entry)
            reply = self._door.refuse_headers(entry, routing, said)
            messages: tuple[Rpc, ...] = ()
            if reply is None and self._door.reads_body(entry):
                answer: tuple[Rpc, ...] | Reply
                try:
                    body = await read_body(receive, self._door.max_body)
                except TooLarge:
                    answer = self._door.too_large()
                except TooSlow:
                    answer = self._door.too_slow()
                else:
                    answer = self._door.read(routing, body)
                    receive = replay(body, receive)
                if isinstance(answer, Reply):
                    reply = answer
                else:
                    messages = answer
                    reply = self._door.refuse_session(entry, routing, messages)
                    if all_targets(messages) != targets:  # else the headers have said it all
                        reply = reply or await self._refuse_messages(entry, routing, messages)
            if reply is not None:
                await send_reply(scope, receive, send, reply)
                return
            send = self._watch_sessions(scope, entry, routing.session_id, send)
            seconds = self._door.seconds_left(entry, messages)
            if seconds is None:
                await self.app(scope_for_app, receive, send)
            else:
                await run_stream(
                    self.app, scope_for_app, receive, send, entry=entry, seconds=seconds
                )

    async def _refuse_messages(
        self, entry: Entry, routing: Routing, messages: tuple[Rpc, ...]
    ) -> Reply | None:
        said = await self._requirements_of(all_targets(messages), entry)
        return self._door.refuse_messages(entry, routing, messages, said)

    def _watch_sessions(self, scope: Scope, entry: Entry, asked: str | None, send: Send) -> Send:
        """Remembers a session's owner before its id leaves, and forgets it after its end."""
        sessions = self._door.sessions

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ())]
                for name, value in message["headers"]:
                    if name.lower() == b"mcp-session-id":
                        sessions.open(value.decode("latin-1"), entry.agent)
                if scope["method"] == "DELETE" and asked and message["status"] < 300:
                    sessions.close(asked)
            await send(message)

        return watch
