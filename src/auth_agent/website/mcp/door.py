"""The guard of an MCP server: every decision about a request, without I/O.

`refuse_headers` comes first and can refuse without a body; then `refuse_messages` checks each
message that the application is going to see. `refuse_call` is the second line of defence, inside
the server, where one tool may run another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import msgspec

from auth_agent.website.entry import Entry
from auth_agent.website.mcp.message import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    REFUSED,
    Id,
    Kind,
    Malformed,
    Rpc,
    Target,
    all_targets,
    read_messages,
    targets_of,
)
from auth_agent.website.mcp.routing import Routing, contradiction
from auth_agent.website.mcp.rules import MAX_REMEMBERED, Rules
from auth_agent.website.mcp.sessions import SessionOwners
from auth_agent.website.policy.requirement import ANY_AGENT, Requirement
from auth_agent.website.web.origin import is_preflight
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.replies import json_reply

_BODILESS = ("GET", "HEAD", "DELETE", "OPTIONS")
_STREAMING = "subscriptions/listen"
_OPENING = "initialize"


LISTS: Mapping[str, tuple[str, Kind, str]] = {
    "tools/list": ("tools", "tools", "name"),
    "prompts/list": ("prompts", "prompts", "name"),
    "resources/list": ("resources", "resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "resources", "uriTemplate"),
}
"""Methods that list: the member of the result, what it holds, and the member that names one."""


class Door:
    """One per guarded server. `clock` gives seconds since 1970."""

    def __init__(
        self, rules: Rules, *, max_body: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.rules = rules
        self.max_body = max_body
        self.sessions = SessionOwners()
        self._clock = clock
        # A requirement's digest takes longer to compute than a target's.
        self._by_target = lru_cache(maxsize=1_024)(
            lambda target: together(tuple(rules.requirements((target,))))
        )

    def refuse_headers(
        self, entry: Entry, routing: Routing, said_at_tool: Iterable[Requirement] = ()
    ) -> Reply | None:
        """Refuses a request by its headers alone; None allows no more than reading the body."""
        if is_preflight(entry.visit):
            return None
        # The first of the requirements lets no page of another website in (`together`).
        reply = self._require(entry, routing.targets, said_at_tool)
        if reply is not None:
            return as_rpc(reply)
        if routing.problem is not None:
            return rpc_error(400, HEADER_MISMATCH, routing.problem)
        if routing.length is not None and routing.length > self.max_body:
            return self.too_large()
        session_id = routing.session_id
        if session_id is not None and not self.sessions.belongs(session_id, entry.agent):
            return rpc_error(404, INVALID_REQUEST, "Session not found")
        return None

    def read(self, routing: Routing, body: bytes) -> tuple[Rpc, ...] | Reply:
        """Returns the messages of a body, or why it is not passed on."""
        try:
            messages = read_messages(body)
        except Malformed as problem:
            return rpc_error(400, problem.code, problem.message, problem.id)
        differs = contradiction(routing, messages)
        if differs is not None:
            return rpc_error(400, HEADER_MISMATCH, differs, _id_of(messages))
        return messages

    def refuse_messages(
        self,
        entry: Entry,
        routing: Routing,
        messages: tuple[Rpc, ...],
        said_at_tools: Iterable[Requirement] = (),
    ) -> Reply | None:
        """Checks every message; one forbidden message refuses the whole batch.

        Skips the check that the headers already had, if the body says the same.
        """
        targets = all_targets(messages)
        if targets == routing.targets:
            return None
        reply = self._require(entry, targets, said_at_tools)
        return as_rpc(reply, _id_of(messages)) if reply is not None else None

    def refuse_session(
        self, entry: Entry, routing: Routing, messages: tuple[Rpc, ...]
    ) -> Reply | None:
        """Refuses another session to an agent that has very many: a server has room for so many
        of all agents."""
        opens = routing.session_id is None and any(one.method == _OPENING for one in messages)
        if not opens or self.sessions.may_open(entry.agent):
            return None
        told = "This agent has too many open sessions: end some of them (DELETE), or wait."
        return rpc_error(429, REFUSED, told, _id_of(messages))

    def refuse_call(
        self,
        entry: Entry,
        method: str,
        params: object,
        said_at_tools: Iterable[Requirement] = (),
    ) -> Reply | None:
        """Checks a call that the server itself has read, or makes: the second line of defence."""
        try:
            targets = targets_of(method, params)
        except Malformed as problem:
            return rpc_error(400, problem.code, problem.message)
        return self._require(entry, targets, said_at_tools)

    def shows(self, entry: Entry, target: Target, said_at_tool: Iterable[Requirement] = ()) -> bool:
        """Returns whether a list shows this item to the agent; logs nothing."""
        explain, agent = entry.relying_party.explain, entry.look()
        needed = [*self.rules.requirements([target]), *said_at_tool]
        return all(explain(agent, requirement).admitted for requirement in needed)

    def reads_body(self, entry: Entry) -> bool:
        return entry.visit.method not in _BODILESS

    def seconds_left(self, entry: Entry, messages: tuple[Rpc, ...]) -> float | None:
        """Returns how long a stream may last: until its credential expires; None for an answer."""
        streams = any(message.method == _STREAMING for message in messages)
        if entry.agent is None or not (streams or entry.visit.method == "GET"):
            return None
        return max(0.0, entry.agent.expires_at - self._clock())

    def too_large(self) -> Reply:
        return rpc_error(413, INVALID_REQUEST, f"The body is larger than {self.max_body} bytes.")

    def too_slow(self) -> Reply:
        return rpc_error(408, INVALID_REQUEST, "The body took too long to arrive.")

    def no_socket(self) -> Reply:
        return rpc_error(403, INVALID_REQUEST, "This MCP server speaks HTTP, not WebSocket.")

    def _needed(
        self, targets: tuple[Target, ...], more: tuple[Requirement, ...]
    ) -> tuple[Requirement, ...]:
        if not more and len(targets) == 1 and len(targets[0].name) <= MAX_REMEMBERED:
            return self._by_target(targets[0])
        return together((*self.rules.requirements(targets), *more))

    def _require(
        self, entry: Entry, targets: Iterable[Target], more: Iterable[Requirement] = ()
    ) -> Reply | None:
        for requirement in self._needed(tuple(targets), tuple(more)):
            reply = entry.require(requirement)
            if reply is not None:
                return reply
        return None


@lru_cache(maxsize=1_024)
def together(requirements: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
    """Merges requirements, so that a challenge names the scopes of the whole operation.

    The first one allows no cross-site request, whatever the others say.
    """
    scopes = tuple(dict.fromkeys(scope for one in requirements for scope in one.scopes))
    others = [one for one in requirements if msgspec.structs.replace(one, scopes=()) != ANY_AGENT]
    return (Requirement(scopes=scopes), *dict.fromkeys(others))


def as_rpc(reply: Reply, request_id: Id = None) -> Reply:
    """Returns the same refusal with a body that MCP clients show; its headers stay."""
    try:
        content = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:  # a page, for a person's browser
        return reply
    message = content.get("error_description", "Refused.")
    error = {"code": REFUSED, "message": message, "data": content}
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": error})
    return msgspec.structs.replace(reply, body=body)


def rpc_error(status: int, code: int, message: str, request_id: Id = None) -> Reply:
    error = {"code": code, "message": message}
    return json_reply(status, {"jsonrpc": "2.0", "id": request_id, "error": error})


def refusal_text(reply: Reply) -> str:
    """Returns a refusal as text, for a tool's error."""
    try:
        content = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        content = {}
    error = content.get("error")
    if isinstance(error, dict):
        return str(error.get("message"))
    described = str(content.get("error_description", "This agent is not allowed to do this."))
    scope = content.get("scope")
    return f"{error}: {described}" + (f' scope="{scope}"' if scope else "")


def remedy_text(reply: Reply) -> str:
    """Returns the refusal of an act as text: what the agent's owner has to approve, as JSON."""
    try:
        content = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return refusal_text(reply)
    details = content.get("authorization_details")
    more = {"authorization_details": details, "resource": content.get("resource")}
    asked = f" {msgspec.json.encode(more).decode()}" if details else ""
    return refusal_text(reply) + asked


def _id_of(messages: tuple[Rpc, ...]) -> Id:
    return messages[0].id if len(messages) == 1 else None
