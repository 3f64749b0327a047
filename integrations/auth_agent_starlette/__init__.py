"""Sign in with Auth Agent for Starlette and FastAPI.

app.add_middleware(AuthAgentMiddleware)     # settings from AUTH_AGENT_*

@requires_agent(scopes=["reports:read"])
async def reports(request):
    request.state.agent                     # the Agent; None where there is none

@requires_approval(lambda request: {"type": "payment", "title": "Pay 45.00 EUR", ...})
async def pay(request):
    request.state.approval                  # what the agent's owner has approved
"""

from auth_agent.extras import needed_for

with needed_for("starlette"):
    from auth_agent.website.web.button import login_button_style
    from auth_agent_starlette.middleware import AuthAgentMiddleware
    from auth_agent_starlette.views import (
        login_button,
        login_path,
        logout_path,
        no_agents,
        requires_agent,
        requires_approval,
    )

__all__ = [
    "AuthAgentMiddleware",
    "login_button",
    "login_button_style",
    "login_path",
    "logout_path",
    "no_agents",
    "requires_agent",
    "requires_approval",
]
