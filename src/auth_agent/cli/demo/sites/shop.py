"""The demo's website: a small shop, configured by its environment alone.

python -m auth_agent.cli.demo.sites.shop PORT     # ends when its standard input ends
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from auth_agent.mark import ICON
from auth_agent.website.web.button import CSS
from auth_agent_starlette import (
    AuthAgentMiddleware,
    login_button,
    logout_path,
    requires_agent,
    requires_approval,
)

_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_pages = Environment(
    loader=FileSystemLoader(_HERE),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
GOODS = (
    {"name": "Oat bread", "unit": "per loaf", "price": "4.20", "agents": "3.80", "art": "bread"},
    {"name": "Mountain tea", "unit": "per 100 g", "price": "6.50", "agents": "5.90", "art": "tea"},
    {"name": "Wild honey", "unit": "per jar", "price": "9.00", "agents": "8.10", "art": "honey"},
)

ORDER = {
    "type": "payment",
    "title": "Pay 24.30 EUR to Corner Shop for order 1001",
    "amount": "24.30",
    "currency": "EUR",
    "order": "1001",
    "goods": "3 jars of wild honey",
}


def create_app() -> Starlette:
    """Returns the shop, configured by the `AUTH_AGENT_*` environment."""
    return Starlette(
        routes=[
            Route("/", home),
            Route("/me", me),
            Route("/members/prices", prices),
            Route("/orders/1001/pay", pay, methods=["POST"]),
            Route("/shop.css", stylesheet),
        ],
        middleware=[Middleware(AuthAgentMiddleware)],
    )


async def home(request: Request) -> Response:
    """Shows the public page, with the agent's identity if one is signed in."""
    page = _pages.get_template("shop.html").render(
        agent=request.state.agent,
        button=login_button(request, "/"),
        icon=ICON,
        logout=logout_path(request),
        goods=GOODS,
        order=ORDER,
    )
    return HTMLResponse(page, headers=_HEADERS)


@requires_agent
async def me(request: Request) -> Response:
    """Needs an agent, by decorator."""
    agent = request.state.agent
    seen = {
        "agent_id": agent.id,
        "model": agent.model,
        "email": agent.email,
        "scopes": list(agent.scopes),
        "via": agent.via,
    }
    return JSONResponse(seen)


async def prices(request: Request) -> Response:  # noqa: ARG001
    """Needs an agent, by AUTH_AGENT_PROTECT alone."""
    return JSONResponse({good["name"]: good["agents"] for good in GOODS})


@requires_approval(ORDER)
async def pay(request: Request) -> Response:
    """Needs the approval of the agent's owner, for this very payment, once."""
    approval = request.state.approval
    return JSONResponse({"paid": approval["amount"], "order": approval["order"]})


async def stylesheet(request: Request) -> Response:  # noqa: ARG001
    css = (_HERE / "shop.css").read_text() + CSS
    return Response(css, media_type="text/css", headers={"Cache-Control": "no-cache"})


def main() -> None:
    """Serves until the parent process closes the pipe, or is killed."""
    config = uvicorn.Config(
        create_app(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        workers=1,
    )
    server = uvicorn.Server(config)

    def watch() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
