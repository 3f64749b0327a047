"""A Flask site with accounts, in one of the three scenarios of `examples.accounts`.

Run it with `SHOP_SCENARIO=contextual_profile gunicorn "examples.flask_accounts:create_app()"`.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from auth_agent_flask import AuthAgent, current_agent, requires_agent
from examples import accounts


def create_app() -> Flask:
    """Reads SHOP_SCENARIO and SHOP_DATABASE, and AUTH_AGENT_* as every site does."""
    scenario = os.environ.get("SHOP_SCENARIO", "full_account")
    sessions = accounts.open_database(os.environ.get("SHOP_DATABASE", "sqlite:///shop.db"))
    app = Flask(__name__)
    app.config["AUTH_AGENT_SCOPE"] = accounts.SCOPES[scenario]
    AuthAgent(app, on_sign_in=accounts.hook(scenario, sessions))

    @app.get("/account")
    @requires_agent
    def account() -> dict[str, Any]:
        with sessions() as db:
            return accounts.describe(current_agent, scenario, db)

    return app
