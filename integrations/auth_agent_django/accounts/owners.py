"""The search for an agent's owner among the users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model

from auth_agent.website.agent import Agent
from auth_agent.website.events import log_event
from auth_agent.website.policy.accounts import may_link
from auth_agent_django.configuration import Configuration

EmailIsVerified = Callable[[Any, str], bool]
CanLink = Callable[[Any], bool]
MAX_CANDIDATES = 1_000  # users with one address, of whom at most one has verified it


def find_user(agent: Agent, email_is_verified: EmailIsVerified | None = None) -> Any:
    """Returns the owner by the website's settings, or by this function alone."""
    if email_is_verified is not None:
        return find_owner(agent, email_is_verified, None)
    configuration = Configuration.read()
    return find_owner(agent, configuration.email_is_verified, configuration.can_link)


def find_owner(
    agent: Agent, email_is_verified: EmailIsVerified | None, can_link: CanLink | None
) -> Any:
    """Returns the user to whom the core lets this agent be linked, if there is exactly one."""
    if not agent.email:
        return None
    candidates = list(_candidates(agent.email))
    if len(candidates) > MAX_CANDIDATES:
        log_event("not_linked", agent=agent.id, cause="too_many_users")
        return None
    fitting = [u for u in candidates if is_owner(u, agent, email_is_verified, can_link)]
    return fitting[0] if len(fitting) == 1 else None


def is_owner(
    user: Any, agent: Agent, email_is_verified: EmailIsVerified | None, can_link: CanLink | None
) -> bool:
    """Returns True if this user is active, may be linked, and has the agent's verified address.

    Staff and superusers are only linked if `can_link` returns True.
    """
    if agent.email is None or not user.is_active or not _may_be_linked(user, can_link):
        return False
    email = getattr(user, type(user).get_email_field_name()) or ""
    verified = email_is_verified or _known_to_allauth
    return may_link(agent, email, verified(user, agent.email))


def _may_be_linked(user: Any, can_link: CanLink | None) -> bool:
    if can_link is not None:
        return can_link(user) is True
    return not (getattr(user, "is_staff", False) or getattr(user, "is_superuser", False))


def _candidates(email: str) -> Iterator[Any]:
    """Returns the users with the address, ignoring case; one more than the bound at most."""
    users = get_user_model()
    field = users.get_email_field_name()
    found = users._default_manager.filter(**{f"{field}__iexact": email}).order_by("pk")
    yield from found[: MAX_CANDIDATES + 1]


def _known_to_allauth(user: Any, email: str) -> bool:
    """Asks allauth whether a user's address is verified, which Django does not know."""
    if not apps.is_installed("allauth.account"):
        return False
    from allauth.account.models import EmailAddress  # noqa: PLC0415

    wanted = email.encode().lower()  # bytes: only ASCII letters lose their case
    addresses = EmailAddress.objects.filter(user=user, verified=True)
    return any(address.email.encode().lower() == wanted for address in addresses)
