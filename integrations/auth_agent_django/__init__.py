"""Sign in with Auth Agent for Django.

INSTALLED_APPS += ["auth_agent_django"]
MIDDLEWARE += ["auth_agent_django.AuthAgentMiddleware"]     # settings from AUTH_AGENT, AUTH_AGENT_*

@requires_agent(scopes=["reports:read"])
def reports(request):
    request.agent                                           # the Agent; None where there is none

`auth_agent_django.accounts` is the app with profiles of agents and links to users;
`auth_agent_django.rest_framework` has the classes for Django REST Framework.
"""

from auth_agent.extras import needed_for

with needed_for("django"):
    from auth_agent_django.middleware import AuthAgentMiddleware
    from auth_agent_django.signals import agent_refused, agent_signed_in, agent_signed_out
    from auth_agent_django.views import (
        RequiresAgentMixin,
        RequiresApprovalMixin,
        login_path,
        logout_path,
        no_agents,
        requires_agent,
        requires_approval,
    )

__all__ = [
    "AuthAgentMiddleware",
    "RequiresAgentMixin",
    "RequiresApprovalMixin",
    "agent_refused",
    "agent_signed_in",
    "agent_signed_out",
    "login_path",
    "logout_path",
    "no_agents",
    "requires_agent",
    "requires_approval",
]
