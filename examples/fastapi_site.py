"""A FastAPI shop that lets agents in; its API is described under /docs.

Run it with `uvicorn examples.fastapi_site:app`; docs/start/website.md says
which AUTH_AGENT_* it needs.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from auth_agent import Agent
from auth_agent_starlette.fastapi import (
    AuthAgentMiddleware,
    CurrentAgent,
    OptionalAgent,
    agent_with,
    approval_of,
    login_path,
    logout_path,
)
from examples import pages

app = FastAPI(title="Example shop")
app.add_middleware(AuthAgentMiddleware)

RefundsAgent = Annotated[Agent, agent_with(scopes=["refunds:write"])]
ReportsAgent = Annotated[Agent, agent_with(scopes=["reports:read"])]


@app.get("/", response_class=HTMLResponse)
async def catalogue(request: Request, agent: OptionalAgent) -> HTMLResponse:
    """Shows everyone the catalogue, and who is signed in."""
    return _show(pages.catalogue_page(_visitor(request, agent, "/me")))


@app.get("/orders", response_class=HTMLResponse)
async def orders(request: Request, agent: CurrentAgent) -> HTMLResponse:
    """Needs an agent."""
    return _show(pages.orders_page(_visitor(request, agent, "/orders")))


@app.get("/refunds", response_class=HTMLResponse)
async def refunds(request: Request, agent: RefundsAgent) -> HTMLResponse:
    """Needs an agent that was granted a scope."""
    return _show(pages.refunds_page(_visitor(request, agent, "/refunds")))


def refund_act(number: str) -> dict[str, str]:
    """Returns the act that the agent's owner is asked to approve."""
    act = pages.refund_of(number)
    if act is None:
        raise HTTPException(404)
    return act


@app.post("/refunds/{number}")
async def refund(
    approval: Annotated[dict[str, Any], approval_of(refund_act, scopes=["refunds:write"])],
) -> dict[str, str]:
    """Needs the approval of the agent's owner, for this very refund, once."""
    return {"refunded": approval["amount"]}


@app.get("/me")
async def me(agent: CurrentAgent) -> dict[str, Any]:
    """Needs an agent."""
    return {
        "agent_id": agent.id,
        "issuer": agent.issuer,
        "model": agent.model,
        "email": agent.email,
        "scopes": agent.scopes,
        "via": agent.via,
    }


@app.get("/private/report")
async def private_report() -> dict[str, str]:
    """Knows nothing of agents; AUTH_AGENT_PROTECT=/private/* guards it."""
    return {"report": "42 orders this week"}


@app.get("/reports")
async def reports(agent: ReportsAgent) -> dict[str, list[str]]:
    """Needs an agent that was granted a scope."""
    return {"reports": ["orders", "refunds"]}


@app.post("/person", include_in_schema=False)
async def person(request: Request) -> RedirectResponse:
    """Signs a person in or out: a name to show beside the agent, which permits nothing."""
    response = RedirectResponse("/", 303)
    if pages.PERSON_COOKIE in request.cookies:
        response.delete_cookie(pages.PERSON_COOKIE)
    else:
        response.set_cookie(pages.PERSON_COOKIE, pages.PERSON, httponly=True, samesite="lax")
    return response


@app.get("/favicon.ico", status_code=204, include_in_schema=False)
async def favicon() -> None:
    """Answers that there is no icon."""


def _visitor(request: Request, agent: Agent | None, next_path: str) -> pages.Visitor:
    return pages.Visitor(
        agent,
        login_path(request, next_path),
        logout_path(request),
        request.cookies.get(pages.PERSON_COOKIE),
        "/person",
    )


def _show(page: pages.Page) -> HTMLResponse:
    return HTMLResponse(page.html, headers=page.headers)
