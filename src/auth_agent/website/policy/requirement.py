"""Who may come in: one rule, used by decorators, dependencies and path patterns alike."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypedDict

import msgspec

from auth_agent.errors import TokenRefused
from auth_agent.protocol.details import OWNER
from auth_agent.website.agent import DOORS, Agent, Via
from auth_agent.website.config.settings import Settings

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent must bring; everything that is given must hold.

    `models` and `agents` are glob patterns of which one must match; an empty list admits no agent,
    None asks for nothing. A model is what the agent claims, not a proof. `max_age` is the age of
    the sign-in in seconds. `via` lists the doors: session, bearer, dpop, signature; None for all.
    """

    scopes: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    models: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None
    via: tuple[Via, ...] | None = None
    max_age: int | None = None
    verified_email: bool = False
    approved: bool = False
    """The agent's owner has approved this sign-in (`acr` is `urn:auth-agent:owner`)."""
    dangerously_allow_cross_site: bool = False
    """Lets pages of other websites send unsafe methods (POST, PUT, ...) with the agent's cookie."""

    def __post_init__(self) -> None:
        """Raises `TypeError` if a value has the wrong type, when the view is defined."""
        for name in ("scopes", "permissions", "models", "agents", "via"):
            value = getattr(self, name)
            if isinstance(value, str):  # "a b" for ("a", "b"), as OAuth writes scopes
                value = value.split()
            if value is None and name in ("models", "agents", "via"):
                continue
            names = tuple(value) if isinstance(value, Iterable) else (value,)
            if not all(isinstance(one, str) for one in names) or isinstance(value, bytes):
                raise TypeError(f"{name} must be a list of text, not {value!r}")
            msgspec.structs.force_setattr(self, name, names)
        unknown = [door for door in self.via or () if door not in DOORS]
        if unknown:
            raise TypeError(f"via holds {unknown[0]!r}; choose from {', '.join(DOORS)}")
        if self.max_age is not None and (type(self.max_age) is not int or self.max_age < 0):
            raise TypeError(f"max_age must be a number of seconds (int), not {self.max_age!r}")
        for name in ("verified_email", "approved", "dangerously_allow_cross_site"):
            if type(getattr(self, name)) is not bool:
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r}")

    @classmethod
    def of(cls, **fields: Unpack[RequirementFields]) -> Requirement:
        """Returns the requirement of a decorator. Raises `TypeError` if a name is unknown.

        One that asks for nothing is `ANY_AGENT` itself, which is compared the quickest.
        """
        for name in fields:
            if name not in cls.__struct_fields__:
                close = difflib.get_close_matches(name, cls.__struct_fields__, n=1)
                hint = f"did you mean {close[0]}=?" if close else "see the fields of Requirement."
                raise TypeError(f"{name}= is not a requirement: {hint}")
        wanted = cls(**fields)  # type: ignore[arg-type]  # text and lists become tuples
        return ANY_AGENT if wanted == ANY_AGENT else wanted


ANY_AGENT = Requirement()


class RequirementFields(TypedDict, total=False):
    """The keyword arguments of every decorator and dependency, for editors and type checkers."""

    scopes: str | Sequence[str]
    permissions: str | Sequence[str]
    models: str | Sequence[str] | None
    agents: str | Sequence[str] | None
    via: str | Sequence[str] | None
    max_age: int | None
    verified_email: bool
    approved: bool
    dangerously_allow_cross_site: bool


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an agent may not come in; `rule` is the requirement's field that decided."""

    code: Literal["insufficient_scope", "access_denied", "insufficient_user_authentication"]
    rule: str
    description: str
    scope: str | None = None
    max_age: int | None = None
    acr_values: str | None = None


class Decision(msgspec.Struct, frozen=True):
    """Whether an agent may come in, the rule that decided, and why, in words."""

    admitted: bool
    rule: str
    reason: str


def explain(
    agent: Agent | None, requirement: Requirement, settings: Settings, *, now: float
) -> Decision:
    """Returns the decision of the gate, for people and for tests."""
    if agent is None:
        return Decision(False, "agent", "No agent is signed in.")
    refusal = judge_site(agent, settings) or judge(agent, requirement, now=now)
    if refusal is None:
        return Decision(True, "all", "The agent meets every requirement.")
    return Decision(False, refusal.rule, refusal.description)


def _denied(rule: str, description: str) -> Refusal:
    return Refusal(code="access_denied", rule=rule, description=description)


HUMANS_ONLY = _denied("no_agents", "This is for humans only; agents are not admitted.")
NOT_WELCOME = _denied("is_welcome", "This website has blocked the agent.")
FOREIGN_REQUEST = _denied("own_request", "This request was sent from another website.")


def judge_absence(agent: Agent | None) -> Refusal | None:
    """Returns None if no agent is signed in: for pages kept for humans."""
    return None if agent is None else HUMANS_ONLY


_BY_SIGN_IN = (
    "A sign-in brings it if the website asks for it (AUTH_AGENT_SCOPE), and the server allows it "
    "to the website's client and to the agent."
)
_BY_TOKEN = (
    "Get a token with it: name it as `scope` in the token request (sdk.session(url, scope=...)); "
    "the server allows it to the resource and to the agent."
)
_HOW_TO_GET = {"bearer": _BY_TOKEN, "dpop": _BY_TOKEN}


def judge(agent: Agent, requirement: Requirement, *, now: float) -> Refusal | None:
    """Returns None if the agent meets the requirement."""
    if requirement.via is not None and agent.via not in requirement.via:
        doors = " or ".join(DOORS[door] for door in requirement.via)
        accepted = f"only {doors}" if doors else "no agent"
        return _denied("via", f"This accepts {accepted}; the agent came with {DOORS[agent.via]}.")
    lacking = [scope for scope in requirement.scopes if scope not in agent.scopes]
    if lacking:
        return Refusal(
            code="insufficient_scope",
            rule="scopes",
            description=f"This needs the scope {' '.join(lacking)}, which was not granted. "
            + _HOW_TO_GET.get(agent.via, _BY_SIGN_IN),
            scope=" ".join(requirement.scopes),
        )
    too_weak = _judge_sign_in(agent, requirement, now)
    if too_weak is not None:
        return too_weak
    if requirement.permissions and not set(requirement.permissions) <= set(agent.permissions):
        return _denied("permissions", "This needs a permission that the agent does not have.")
    if requirement.models is not None and not _matches(agent.model, requirement.models):
        return _denied("models", "This is not open to the agent's model.")
    if requirement.agents is not None and not _matches(agent.id, requirement.agents):
        return _denied("agents", "This is not open to this agent.")
    if requirement.verified_email and not agent.email_verified:
        return _denied("verified_email", "This needs a verified e-mail address of the owner.")
    return None


def _judge_sign_in(agent: Agent, requirement: Requirement, now: float) -> Refusal | None:
    """Returns None if the sign-in is fresh and strong enough (RFC 9470 3)."""
    max_age = requirement.max_age
    is_old = max_age is not None and now > agent.authenticated_at + max_age
    if not is_old and (is_approved(agent) or not requirement.approved):
        return None
    fresh = f"This needs a sign-in that is at most {max_age} seconds old."
    strong = "This needs a sign-in that the agent's owner has approved."
    return Refusal(
        code="insufficient_user_authentication",
        rule="max_age" if is_old else "approved",
        description=fresh if is_old else strong,
        scope=" ".join(requirement.scopes) or None,
        max_age=max_age,
        acr_values=OWNER if requirement.approved else None,
    )


def is_approved(agent: Agent) -> bool:
    """Returns True if the server says that the agent's owner has approved the sign-in."""
    return agent.claims.get("acr") == OWNER


def check_age(agent: Agent, max_age: int | None, *, now: float) -> None:
    """Raises `TokenRefused` at the end of a sign-in that the page with this `max_age` would refuse.

    Otherwise that page would send the agent round and round to a server that does not ask it
    again, or whose clock is behind.
    """
    if judge(agent, Requirement(max_age=max_age), now=now) is not None:
        raise TokenRefused(
            f"The agent signed in at the server more than {max_age} seconds ago, and the server "
            "did not make it sign in again.",
            code="authentication_too_old",
        )


def judge_site(agent: Agent, settings: Settings) -> Refusal | None:
    """Applies AUTH_AGENT_ALLOW_MODELS and AUTH_AGENT_DENY_AGENTS, which hold for the whole site."""
    if settings.deny_agents and _matches(agent.id, settings.deny_agents):
        return _denied("AUTH_AGENT_DENY_AGENTS", "This website does not admit this agent.")
    if settings.allow_models is not None and not _matches(agent.model, settings.allow_models):
        return _denied("AUTH_AGENT_ALLOW_MODELS", "This website does not admit this model.")
    return None


def _matches(value: str | None, patterns: Sequence[str]) -> bool:
    return value is not None and any(fnmatchcase(value, pattern) for pattern in patterns)
