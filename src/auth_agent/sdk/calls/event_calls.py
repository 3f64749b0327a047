"""Events that an agent reports about its work, and the common part of calls with its token."""

from __future__ import annotations

from typing import Any

from auth_agent.flow.exchange import HttpRequest
from auth_agent.sdk.calls import agent_api
from auth_agent.sdk.calls.token_calls import TokenCalls
from auth_agent.sdk.exchange.answers import read_protected
from auth_agent.sdk.flow.effects import Flow


class EventCalls(TokenCalls):
    """The flows of one agent that report events."""

    def send_event(
        self,
        /,
        access_token: str | None,
        event: str,
        *,
        selector: str | None = None,
        site: str | None = None,
        evidence: str | None = None,
        result: str | None = None,
        **more: Any,
    ) -> Flow[dict[str, Any]]:
        """Reports an action of the agent to the server; `more` may hold any JSON."""
        content = {
            **more,
            "event": event,
            "selector": selector,
            "site": site,
            "evidence": evidence,
            "result": result,
        }
        request = agent_api.event_request(self._options, access_token, content)
        return (yield from self._protected(request, "receipt", again=False))

    def send_verified_click(
        self,
        access_token: str | None,
        selector: str,
        site: str,
        evidence: str = "oauth_authenticated",
    ) -> Flow[dict[str, Any]]:
        """Sends the event `verified_click`."""
        return (
            yield from self.send_event(
                access_token, "verified_click", selector=selector, site=site, evidence=evidence
            )
        )

    def send_post_run(
        self, access_token: str | None, selector: str, site: str, result: str
    ) -> Flow[dict[str, Any]]:
        """Sends the event `post_run`; `selector` names the task; 2,000 characters of `result`."""
        cut = result[: agent_api.LONGEST_RESULT]
        return (
            yield from self.send_event(
                access_token, "post_run", selector=selector, site=site, result=cut
            )
        )

    def _protected(
        self, request: HttpRequest, what: str, *, again: bool = True
    ) -> Flow[dict[str, Any]]:
        send, token, prover = self._again if again else self._once, _token_of(request), self.prover
        if token is not None and prover is not None and prover.holds(token):
            response = yield from prover.present(request, token, send)
        else:
            response = yield from send(request)
        return read_protected(response, what, failure="request_failed")


def _token_of(request: HttpRequest) -> str | None:
    """Returns the access token that a request carries."""
    carried = dict(request.headers).get("Authorization", "")
    return carried.removeprefix("Bearer ") or None
