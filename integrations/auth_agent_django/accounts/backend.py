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
    """Authenticates the user for whom the agent acts: `authenticate(request, agent=request.agent)`.

    For the full-account scenario; finds no user unless both sides have verified the e-mail.
    """

    def authenticate(
        self, request: HttpRequest | None, agent: Agent | None = None, **credentials: Any
    ) -> Any:
        return None if agent is None or is_blocked(agent) else find_user(agent)

    def get_user(self, user_id: Any) -> Any:
        user = get_user_model()._default_manager.filter(pk=user_id).first()
        return user if user is not None and user.is_active else None
