"""A Starlette site that lets agents in.

Run it with `uvicorn examples.starlette_site:app`; the README says which AUTH_AGENT_* it needs.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from auth_agent_starlette import AuthAgentMiddleware, login_path, logout_path, requires_agent
from examples.pages import home_page


async def home(request: Request) -> HTMLResponse:
    """Public; shows who is signed in."""
    page = home_page(request.state.agent, login_path(request, "/me"), logout_path(request))
    return HTMLResponse(page.html, headers=page.headers)


@requires_agent
async def me(request: Request) -> JSONResponse:
    """Needs an agent."""
    agent = request.state.agent
    return JSONResponse(
        {
            "agent_id": agent.id,
            "model": agent.model,
            "email": agent.email,
            "scopes": list(agent.scopes),
            "via": agent.via,
        }
    )


async def private_report(request: Request) -> JSONResponse:
    """Knows nothing of agents; AUTH_AGENT_PROTECT=/private/* guards it."""
    return JSONResponse({"report": "42 orders this week"})


@requires_agent(scopes=["reports:read"])
async def reports(request: Request) -> JSONResponse:
    """Needs an agent that was granted a scope."""
    return JSONResponse({"reports": ["orders", "refunds"]})


app = Starlette(
    routes=[
        Route("/", home),
        Route("/me", me),
        Route("/private/report", private_report),
        Route("/reports", reports),
        Route("/favicon.ico", Response(status_code=204)),
    ],
    middleware=[Middleware(AuthAgentMiddleware)],
)
