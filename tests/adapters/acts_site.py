"""A shop for the tests of approvals with several workers; each answer says which worker it was."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from auth_agent_starlette import AuthAgentMiddleware, requires_approval


def act(request):
    number = request.path_params["number"]
    return {
        "type": "payment",
        "title": f"Pay order {number}",
        "amount": "45.00",
        "order": number,
    }


@requires_approval(act)
async def pay(request):
    return JSONResponse(request.state.approval)


async def home(request):
    return PlainTextResponse("a shop")


class Marked:
    """Adds the process to every answer."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def note(message):
            if message["type"] == "http.response.start":
                worker = (b"x-worker", str(os.getpid()).encode())
                message = {**message, "headers": [*message["headers"], worker]}
            await send(message)

        await self.app(scope, receive, note)


app = Starlette(
    routes=[Route("/", home), Route("/orders/{number}/pay", pay, methods=["POST"])],
    middleware=[Middleware(Marked), Middleware(AuthAgentMiddleware)],
)
