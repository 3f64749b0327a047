"""A Flask shop that lets agents in.

Run it with `gunicorn examples.flask_site:app` or `waitress-serve examples.flask_site:app`;
docs/start/website.md says which AUTH_AGENT_* it needs.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Request, Response, abort, redirect, request

from auth_agent_flask import (
    AuthAgent,
    current_agent,
    current_approval,
    login_path,
    logout_path,
    requires_agent,
    requires_approval,
)
from examples import pages

app = Flask(__name__, static_folder=None)
AuthAgent(app)


@app.get("/")
def catalogue() -> Response:
    """Shows everyone the catalogue, and who is signed in."""
    return _show(pages.catalogue_page(_visitor("/me")))


@app.get("/orders")
@requires_agent
def orders() -> Response:
    """Needs an agent."""
    return _show(pages.orders_page(_visitor("/orders")))


@app.get("/refunds")
@requires_agent(scopes=["refunds:write"])
def refunds() -> Response:
    """Needs an agent that was granted a scope."""
    return _show(pages.refunds_page(_visitor("/refunds")))


def refund_act(asked: Request) -> dict[str, str]:
    """Returns the act that the agent's owner is asked to approve."""
    return pages.refund_of((asked.view_args or {})["number"]) or abort(404)


@app.post("/refunds/<number>")
@requires_approval(refund_act, scopes=["refunds:write"])
def refund(number: str) -> dict[str, str]:
    """Needs the approval of the agent's owner, for this very refund, once."""
    return {"refunded": current_approval["amount"], "order": number}


@app.get("/me")
@requires_agent
def me() -> dict[str, Any]:
    """Needs an agent."""
    return {
        "agent_id": current_agent.id,
        "issuer": current_agent.issuer,
        "model": current_agent.model,
        "email": current_agent.email,
        "scopes": current_agent.scopes,
        "via": current_agent.via,
    }


@app.get("/private/report")
def private_report() -> dict[str, str]:
    """Knows nothing of agents; AUTH_AGENT_PROTECT=/private/* guards it."""
    return {"report": "42 orders this week"}


@app.get("/reports")
@requires_agent(scopes=["reports:read"])
def reports() -> dict[str, list[str]]:
    """Needs an agent that was granted a scope."""
    return {"reports": ["orders", "refunds"]}


@app.post("/person")
def person() -> Any:
    """Signs a person in or out: a name to show beside the agent, which permits nothing."""
    response = redirect("/", 303)
    if pages.PERSON_COOKIE in request.cookies:
        response.delete_cookie(pages.PERSON_COOKIE)
    else:
        response.set_cookie(pages.PERSON_COOKIE, pages.PERSON, httponly=True, samesite="Lax")
    return response


@app.get("/favicon.ico")
def favicon() -> tuple[str, int]:
    """Answers that there is no icon."""
    return "", 204


def _visitor(next_path: str) -> pages.Visitor:
    return pages.Visitor(
        current_agent if current_agent else None,
        login_path(next_path),
        logout_path(),
        request.cookies.get(pages.PERSON_COOKIE),
        "/person",
    )


def _show(page: pages.Page) -> Response:
    return Response(page.html, headers=page.headers)
