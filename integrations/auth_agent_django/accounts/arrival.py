"""An agent in the three scenarios: its profile at the sign-in, the check at every request."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from auth_agent.errors import SignInRefused
from auth_agent.website.agent import Agent
from auth_agent_django.accounts.models import MAX_IDENTITY, AgentProfile
from auth_agent_django.accounts.owners import find_owner, find_user, is_owner
from auth_agent_django.configuration import Configuration

__all__ = ["arrive", "find_profile", "find_user", "is_blocked", "leave_to_site", "still_fits"]

_OWN = ""  # the scenario of a profile whose account the website's own hook chose


def arrive(agent: Agent, configuration: Configuration) -> str | None:
    """Stores the agent's profile; returns the account id for its session.

    Raises `SignInRefused` if the agent is blocked or its identity cannot be stored.
    """
    if len(agent.id) > MAX_IDENTITY or len(agent.issuer) > MAX_IDENTITY:
        raise SignInRefused("The agent's identity is too long.", code="agent_too_large")
    try:
        return _arrive(agent, configuration)
    except (IntegrityError, OperationalError):  # signed in meanwhile; or SQLite's lock, held long
        return _arrive(agent, configuration)


def _arrive(agent: Agent, configuration: Configuration) -> str | None:
    """Reads first and then writes in one statement, which SQLite lets wait for its lock."""
    profile = find_profile(agent)
    if profile is not None and profile.blocked:
        raise SignInRefused(
            "This website has blocked the agent.", code="agent_blocked", status_code=403
        )
    fields = _fields(agent, configuration)
    if profile is None:
        profile = _create(agent, fields)
    else:
        AgentProfile.objects.filter(pk=profile.pk).update(**fields)
    if configuration.accounts == "full":
        return None if fields["user"] is None else str(fields["user"].pk)
    return str(profile.pk)


def _fields(agent: Agent, configuration: Configuration) -> dict[str, Any]:
    fresh = configuration.accounts == "fresh"
    verified, can_link = configuration.email_is_verified, configuration.can_link
    owner = None if fresh else find_owner(agent, verified, can_link)
    email = "" if fresh else agent.email or ""
    return {
        "model": (agent.model or "")[:200],
        "owner_email": email if len(email) <= 254 else "",
        "owner_email_verified": bool(email) and agent.email_verified,
        "user": owner,
        "scenario": configuration.accounts,
        "last_seen": timezone.now(),
    }


def _create(agent: Agent, fields: dict[str, Any]) -> AgentProfile:
    """Creates the profile; `SignInRefused` if the database takes another agent for this one."""
    identity = {"issuer": agent.issuer, "subject": agent.id}
    try:
        with transaction.atomic():
            return AgentProfile.objects.create(**identity, **fields)
    except IntegrityError:
        found = AgentProfile.objects.filter(**identity).first()
        if found is None or _is_of(found, agent):
            raise  # the same agent signed in meanwhile
        raise SignInRefused(
            "This website's database cannot distinguish this agent from another one, whose id "
            "differs only in upper and lower case. Use a case-sensitive collation.",
            code="agent_ambiguous",
            status_code=403,
        ) from None


def find_profile(agent: Agent) -> AgentProfile | None:
    """Returns the profile of this very identity, even if the database ignores case."""
    found = AgentProfile.objects.filter(issuer=agent.issuer, subject=agent.id)
    fitting = (one for one in found.select_related("user") if _is_of(one, agent))
    return next(fitting, None)


def _is_of(profile: AgentProfile, agent: Agent) -> bool:
    return (profile.issuer, profile.subject) == (agent.issuer, agent.id)


def is_blocked(agent: Agent) -> bool:
    """Returns True if an administrator has blocked this agent."""
    profile = find_profile(agent)
    return profile is not None and profile.blocked


def leave_to_site(agent: Agent) -> None:
    """Records that the website's own hook chose the account and has to check it."""
    profile = find_profile(agent)
    if profile is not None:
        AgentProfile.objects.filter(pk=profile.pk).update(scenario=_OWN)


def still_fits(agent: Agent, configuration: Configuration) -> bool:
    """Returns True if the agent is not blocked and its account is still the one of its sign-in.

    In the full scenario the owner has to be an active user with the agent's address, verified.
    """
    profile = find_profile(agent)
    if profile is not None and profile.blocked:
        return False
    if agent.account_id is None:
        return True
    if profile is None:
        return False
    if profile.scenario == _OWN and configuration.on_sign_in is not None:
        return True
    if profile.scenario != configuration.accounts:
        return False
    if configuration.accounts != "full":
        return agent.account_id == str(profile.pk)
    user = profile.user
    fits = user is not None and agent.account_id == str(user.pk)
    return fits and is_owner(user, agent, configuration.email_is_verified, configuration.can_link)
