"""Three ways to treat a signed-in agent, on a database of people's accounts (SQLAlchemy).

full_account         the agent acts in its owner's account, found by e-mail
contextual_profile   a profile of its own, which knows its owner's account
fresh_profile        a profile of its own; nobody's e-mail is asked for

Each is an `on_sign_in` hook: what it returns is `agent.account_id` from then on. An agent is known
by its issuer and id together; an e-mail only finds an account, and only where both sides have
verified it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from typing import Any

from sqlalchemy import ForeignKey, NullPool, UniqueConstraint, create_engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    sessionmaker,
)

from auth_agent import Agent, SignInRefused, may_link


class Base(DeclarativeBase):
    pass


class Account(Base):
    """A person's account."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    email_verified: Mapped[bool] = mapped_column(default=False)


class AgentProfile(Base):
    """An agent that has been here."""

    __tablename__ = "agent_profiles"
    __table_args__ = (UniqueConstraint("issuer", "sub"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    issuer: Mapped[str]
    sub: Mapped[str]
    name: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    account: Mapped[Account | None] = relationship()
    blocked: Mapped[bool] = mapped_column(default=False)
    last_seen: Mapped[datetime]


def full_account(agent: Agent, db: Session) -> int:
    """Returns the id of the owner's account; refuses an agent whose owner has none."""
    profile = _profile(agent, db)
    profile.account = profile.account or _owner(agent, db)
    if profile.account is None:
        raise SignInRefused(
            "No account here has this agent's e-mail address, verified on both sides.",
            code="no_account",
            status_code=403,
        )
    return profile.account.id


def contextual_profile(agent: Agent, db: Session) -> int:
    """Returns the id of the agent's profile, linked to the owner's account if there is one."""
    profile = _profile(agent, db)
    profile.account = profile.account or _owner(agent, db)
    return profile.id


def fresh_profile(agent: Agent, db: Session) -> int:
    """Returns the id of the agent's profile, which is linked to no account."""
    return _profile(agent, db).id


SCENARIOS = {hook.__name__: hook for hook in (full_account, contextual_profile, fresh_profile)}
# What each has to ask the agent for.
SCOPES = dict.fromkeys(SCENARIOS, "openid profile email") | {"fresh_profile": "openid profile"}


def open_database(url: str) -> sessionmaker[Session]:
    """Sessions on a database with its tables."""
    engine = create_engine(url, poolclass=NullPool)
    Base.metadata.create_all(engine)
    return sessionmaker(engine)


def hook(scenario: str, sessions: sessionmaker[Session]) -> Callable[[Agent], int]:
    """Returns the scenario as `on_sign_in`, in a transaction of its own."""
    return partial(_in_transaction, SCENARIOS[scenario], sessions)


def describe(agent: Agent, scenario: str, db: Session) -> dict[str, Any]:
    """Describes the account behind the id that the hook returned."""
    if scenario == "full_account":
        account = db.get_one(Account, agent.account_id)
        return {"acts_as": account.name, "account": account.id}
    profile = db.get_one(AgentProfile, agent.account_id)
    owner = profile.account.name if profile.account else None
    return {"acts_as": profile.name, "profile": profile.id, "owner": owner}


def _in_transaction(
    scenario: Callable[[Agent, Session], int], sessions: sessionmaker[Session], agent: Agent
) -> int:
    try:
        with sessions.begin() as db:
            return scenario(agent, db)
    except IntegrityError:  # the same agent signed in meanwhile: now it is known
        with sessions.begin() as db:
            return scenario(agent, db)


def _profile(agent: Agent, db: Session) -> AgentProfile:
    """Returns the one profile of (issuer, id)."""
    profile = db.scalar(select(AgentProfile).filter_by(issuer=agent.issuer, sub=agent.id))
    now = datetime.now(timezone.utc)
    if profile is None:
        name = agent.name or agent.id
        profile = AgentProfile(issuer=agent.issuer, sub=agent.id, name=name, last_seen=now)
        db.add(profile)
        db.flush()
    if profile.blocked:
        raise SignInRefused("This agent is blocked here.", code="agent_blocked", status_code=403)
    profile.last_seen = now
    return profile


def _owner(agent: Agent, db: Session) -> Account | None:
    """Returns the owner's account: the core decides on a match, the database narrows the search."""
    same = select(Account).where(func.lower(Account.email) == func.lower(agent.email))
    found = [a for a in db.scalars(same) if may_link(agent, a.email, a.email_verified)]
    return found[0] if len(found) == 1 else None
