"""Sign in with Auth Agent for Flask.

AuthAgent(app)                              # settings from AUTH_AGENT_* and app.config

@app.get("/reports")
@requires_agent(scopes=["reports:read"])
def reports():
    current_agent.id                        # the Agent; false if there is none
"""

from auth_agent.extras import needed_for

with needed_for("flask"):
    from auth_agent_flask.extension import AuthAgent
    from auth_agent_flask.views import (
        current_agent,
        current_approval,
        login_button,
        login_path,
        logout_path,
        no_agents,
        requires_agent,
        requires_approval,
    )

__all__ = [
    "AuthAgent",
    "current_agent",
    "current_approval",
    "login_button",
    "login_path",
    "logout_path",
    "no_agents",
    "requires_agent",
    "requires_approval",
]
