"""What becomes of an agent that arrives, in each of the three scenarios."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.utils import timezone

from auth_agent.errors import SignInRefused
from auth_agent.website.agent import Agent
from auth_agent.website.policy.accounts import may_link
from auth_agent_django.accounts.models import MAX_IDENTITY, AgentProfile
from auth_agent_django.configuration import Configuration, Scenario

EmailIsVerified = Callable[[Any, str], bool]
MAX_CANDIDATES = 10


def arrive(
    agent: Agent, scenario: Scenario, email_is_verified: EmailIsVerified | None
) -> str | None:
    """Keep the agent's profile; the account id for its session. Raises `SignInRefused`."""
    if is_blocked(agent):
        raise SignInRefused(
            "This website has blocked the agent.", code="agent_blocked", status_code=403
        )
    if len(agent.id) > MAX_IDENTITY or len(agent.issuer) > MAX_IDENTITY:
        raise SignInRefused("The agent's identity is too long.", code="agent_too_large")
    fresh = scenario == "fresh"
    user = None if fresh else find_user(agent, email_is_verified)
    email = "" if fresh else agent.email or ""
    profile, _ = AgentProfile.objects.update_or_create(
        issuer=agent.issuer,
        subject=agent.id,
        defaults={
            "model": (agent.model or "")[:200],
            "owner_email": email if len(email) <= 254 else "",
            "owner_email_verified": bool(email) and agent.email_verified,
            "user": user,
            "scenario": scenario,
            "last_seen": timezone.now(),
        },
    )
    if scenario == "full":
        return None if user is None else str(user.pk)
    return str(profile.pk)


def is_blocked(agent: Agent) -> bool:
    """Whether an administrator has blocked this agent."""
    return AgentProfile.objects.filter(issuer=agent.issuer, subject=agent.id, blocked=True).exists()


def find_user(agent: Agent, email_is_verified: EmailIsVerified | None = None) -> Any:
    """The active user whom the core lets this agent be linked to, if it is exactly one."""
    if not agent.email:
        return None
    verified = email_is_verified or Configuration.read().email_is_verified or _known_to_allauth
    users = get_user_model()
    field = users.get_email_field_name()
    found = users._default_manager.filter(**{f"{field}__iexact": agent.email})[:MAX_CANDIDATES]
    fitting = [
        user
        for user in found
        if user.is_active and may_link(agent, getattr(user, field), verified(user, agent.email))
    ]
    return fitting[0] if len(fitting) == 1 else None


def _known_to_allauth(user: Any, email: str) -> bool:
    """Django does not know whether a user's address is verified, allauth does."""
    if not apps.is_installed("allauth.account"):
        return False
    from allauth.account.models import EmailAddress  # noqa: PLC0415

    wanted = email.encode().lower()  # bytes: ASCII's letters alone lose their case
    addresses = EmailAddress.objects.filter(user=user, verified=True)
    return any(address.email.encode().lower() == wanted for address in addresses)
