"""AUTHENTICATION_BACKENDS += ["auth_agent_django.accounts.backend.AuthAgentBackend"]"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest

from auth_agent.website.agent import Agent
from auth_agent_django.accounts.arrival import is_blocked
from auth_agent_django.accounts.owners import find_user


class AuthAgentBackend(BaseBackend):
    """`authenticate(request, agent=request.agent)` is the user in whose account the agent acts.

    For the full-account scenario; nothing is found for an e-mail that either side has not verified.
    """

    def authenticate(
        self, request: HttpRequest | None, agent: Agent | None = None, **credentials: Any
    ) -> Any:
        return None if agent is None or is_blocked(agent) else find_user(agent)

    def get_user(self, user_id: Any) -> Any:
        user = get_user_model()._default_manager.filter(pk=user_id).first()
        return user if user is not None and user.is_active else None
