"""What a sign-in was asked to bring: the request for it, and the check at its end."""

from __future__ import annotations

from auth_agent.errors import SignInRefused, TokenRefused
from auth_agent.flow.effects import Flow, send
from auth_agent.protocol.details import canonical
from auth_agent.protocol.metadata import Metadata
from auth_agent.protocol.pushed_request import parse_pushed, push_request, pushed_url
from auth_agent.website.agent import Agent
from auth_agent.website.config.site import Site
from auth_agent.website.policy.approval import digest_of, granted
from auth_agent.website.policy.remediation import Ticket
from auth_agent.website.policy.requirement import check_age, is_approved
from auth_agent.website.sign_in.queries import Asked


def asked_by(ticket: Ticket) -> Asked:
    """Returns what the sign-in of an approval has to bring."""
    return Asked(approved=True, agent=ticket.agent, act=digest_of(ticket.act))


def push(parameters: dict[str, str], ticket: Ticket, metadata: Metadata, site: Site) -> Flow[str]:
    """Pushes the request with its act, and returns the URL that the browser is sent to."""
    parameters["authorization_details"] = canonical([ticket.act])
    credentials = site.credentials(metadata)
    uri = parse_pushed((yield from send(push_request(parameters, credentials))))
    return pushed_url(credentials, uri)


def check_asked(agent: Agent, asked: Asked, *, now: float) -> None:
    """Raises an `AuthError` at the end of a sign-in that the page behind it would refuse again."""
    check_age(agent, asked.max_age, now=now)
    if asked.agent is not None and agent.id != asked.agent:
        raise SignInRefused(
            "The agent that has signed in is not the one that asked for the approval.",
            code="another_agent",
            status_code=403,
        )
    if asked.approved and not is_approved(agent):
        raise TokenRefused(
            "The server did not ask the agent's owner to approve this.", code="owner_not_asked"
        )
    acts = (digest_of(act) for act in granted(agent, now=now))
    if asked.act is not None and asked.act not in acts:
        raise TokenRefused(
            "The owner has not approved the act that the website asked for.",
            code="act_not_approved",
        )
