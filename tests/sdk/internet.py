"""Flows without a socket: their effects are answered from a table."""

from __future__ import annotations

import json

from auth_agent import AuthError, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.flow.effects import (
    Chance,
    Draw,
    Fetch,
    Invoke,
    Now,
    Report,
    ResolveHost,
    Today,
    Wait,
)
from tests.flows import run_with


def html(text, status=200):
    return HttpResponse(status, {"content-type": "text/html"}, text.encode())


def as_json(status=200, /, **content):
    headers = {"content-type": "application/json"}
    return HttpResponse(status, headers, json.dumps(content).encode())


def to(location, status=302):
    return HttpResponse(status, {"location": location}, b"")


class Internet:
    """Answers the flow's effects from a table; its clock moves only while the flow waits."""

    def __init__(self, answers):
        self.answers = {k: list(v) if isinstance(v, list) else v for k, v in answers.items()}
        self.requests: list[HttpRequest] = []
        self.waits: list[float] = []
        self.steps = []
        self.now = 0.0
        self.drawn = 0
        self.addresses: dict[str, tuple[str, ...]] = {}

    def run(self, flow):
        return run_with(self.perform, flow)

    def perform(self, effect):
        match effect:
            case Now() | Today():
                return self.now
            case Draw():
                self.drawn += 1
                return f"{self.drawn:0>43}"
            case Chance():
                return 0.5
            case Invoke():
                return effect.function(*effect.arguments)
            case Wait():
                self.waits.append(effect.seconds)
                self.now += effect.seconds
            case Report():
                self.steps.append(effect.step)
            case ResolveHost():
                return self.addresses.get(effect.host, ("203.0.114.7",))
            case Fetch():
                return self.answer(effect.request)

    def answer(self, request):
        self.requests.append(request)
        found = self.answers.get(request.url)
        if found is None:
            raise ServerUnavailable(f"nobody at {request.url}")
        found = found.pop(0) if isinstance(found, list) else found
        if isinstance(found, AuthError):
            raise found
        return found(request) if callable(found) else found
