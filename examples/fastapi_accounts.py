"""A FastAPI site with accounts, in one of the three scenarios of `examples.accounts`.

Run it with `SHOP_SCENARIO=full_account uvicorn --factory examples.fastapi_accounts:create_app`.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI

from auth_agent import RelyingParty, Settings
from auth_agent_starlette.fastapi import AuthAgentMiddleware, CurrentAgent
from examples import accounts


def create_app() -> FastAPI:
    """Reads SHOP_SCENARIO and SHOP_DATABASE, and AUTH_AGENT_* as every site does."""
    scenario = os.environ.get("SHOP_SCENARIO", "full_account")
    sessions = accounts.open_database(os.environ.get("SHOP_DATABASE", "sqlite:///shop.db"))
    relying_party = RelyingParty(
        Settings.from_env(scope=accounts.SCOPES[scenario]),
        on_sign_in=accounts.hook(scenario, sessions),
    )
    app = FastAPI()
    app.add_middleware(AuthAgentMiddleware, relying_party=relying_party)

    @app.get("/account")
    def account(agent: CurrentAgent) -> dict[str, Any]:
        with sessions() as db:
            return accounts.describe(agent, scenario, db)

    return app
