"""A Starlette shop that lets agents in.

Run it with `uvicorn examples.starlette_site:app`; docs/start/website.md says
which AUTH_AGENT_* it needs.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from auth_agent_starlette import (
    AuthAgentMiddleware,
    login_path,
    logout_path,
    requires_agent,
    requires_approval,
)
from examples import pages


async def catalogue(request: Request) -> HTMLResponse:
    """Shows everyone the catalogue, and who is signed in."""
    return _show(pages.catalogue_page(_visitor(request, "/me")))


@requires_agent
async def orders(request: Request) -> HTMLResponse:
    """Needs an agent."""
    return _show(pages.orders_page(_visitor(request, "/orders")))


@requires_agent(scopes=["refunds:write"])
async def refunds(request: Request) -> HTMLResponse:
    """Needs an agent that was granted a scope."""
    return _show(pages.refunds_page(_visitor(request, "/refunds")))


def refund_act(request: Request) -> dict[str, str]:
    """Returns the act that the agent's owner is asked to approve."""
    act = pages.refund_of(request.path_params["number"])
    if act is None:
        raise HTTPException(404)
    return act


@requires_approval(refund_act, scopes=["refunds:write"])
async def refund(request: Request) -> JSONResponse:
    """Needs the approval of the agent's owner, for this very refund, once."""
    return JSONResponse({"refunded": request.state.approval["amount"]})


@requires_agent
async def me(request: Request) -> JSONResponse:
    """Needs an agent."""
    agent = request.state.agent
    return JSONResponse(
        {
            "agent_id": agent.id,
            "issuer": agent.issuer,
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


async def person(request: Request) -> RedirectResponse:
    """Signs a person in or out: a name to show beside the agent, which permits nothing."""
    response = RedirectResponse("/", 303)
    if pages.PERSON_COOKIE in request.cookies:
        response.delete_cookie(pages.PERSON_COOKIE)
    else:
        response.set_cookie(pages.PERSON_COOKIE, pages.PERSON, httponly=True, samesite="lax")
    return response


def _visitor(request: Request, next_path: str) -> pages.Visitor:
    return pages.Visitor(
        request.state.agent,
        login_path(request, next_path),
        logout_path(request),
        request.cookies.get(pages.PERSON_COOKIE),
        "/person",
    )


def _show(page: pages.Page) -> HTMLResponse:
    return HTMLResponse(page.html, headers=page.headers)


app = Starlette(
    routes=[
        Route("/", catalogue),
        Route("/orders", orders),
        Route("/refunds", refunds),
        Route("/refunds/{number}", refund, methods=["POST"]),
        Route("/me", me),
        Route("/private/report", private_report),
        Route("/reports", reports),
        Route("/person", person, methods=["POST"]),
        Route("/favicon.ico", Response(status_code=204)),
    ],
    middleware=[Middleware(AuthAgentMiddleware)],
)
