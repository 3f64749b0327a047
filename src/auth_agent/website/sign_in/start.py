"""The routes that start a sign-in: the login, and the question to an agent's owner."""

from __future__ import annotations

import functools
from collections.abc import Callable

from auth_agent.errors import AuthError, SignInRefused
from auth_agent.flow.effects import Flow
from auth_agent.url import normal_origin, safe_next
from auth_agent.website.config.site import Site
from auth_agent.website.policy.remediation import Ticket, read_ticket
from auth_agent.website.sign_in import transaction
from auth_agent.website.sign_in.asking import asked_by, push
from auth_agent.website.sign_in.login import authorization_request, authorization_url
from auth_agent.website.sign_in.queries import Asked, read_asked, read_next, read_one
from auth_agent.website.web.origin import is_internal, is_prefetch, may_start_login, wants_page
from auth_agent.website.web.outcome import Outcome, Reply
from auth_agent.website.web.own_page import dressed
from auth_agent.website.web.replies import Button, json_reply, page, redirect
from auth_agent.website.web.visit import Cookie, Visit

Refuse = Callable[[Visit, AuthError, str], Flow[Outcome]]


class Starts:
    """Starts sign-ins; `refuse` answers one that cannot be started."""

    def __init__(self, site: Site, refuse: Refuse) -> None:
        self._site = site
        self._settings = site.settings
        self._refuse = refuse

    def login(self, visit: Visit) -> Outcome | Flow[Outcome]:
        if visit.method not in ("GET", "HEAD"):
            return method_not_allowed("GET, HEAD")
        elsewhere = self._canonical_login(visit) if may_start_login(visit) else None
        if elsewhere is not None:
            return redirect(elsewhere)
        next_path = safe_next(read_next(visit), prefix=self._settings.prefix)
        return self._start(visit, next_path, read_asked(visit))

    def approve(self, visit: Visit) -> Outcome | Flow[Outcome]:
        """Leads an agent to its owner, with the act of a ticket that this website has made."""
        if visit.method not in ("GET", "HEAD"):
            return method_not_allowed("GET, HEAD")
        ticket = read_ticket(read_one(visit, "ticket"), self._site)
        if ticket is None:
            error = SignInRefused(
                "This question to the owner is too old. Go back and try again.",
                code="ticket_expired",
            )
            return self._refuse(visit, error, self._settings.home)
        return self._start(visit, ticket.next, asked_by(ticket), ticket)

    def _start(
        self, visit: Visit, next_path: str, asked: Asked, ticket: Ticket | None = None
    ) -> Outcome | Flow[Outcome]:
        """Starts a sign-in if a page is opened; a service worker gets a page that offers it."""
        if may_start_login(visit):
            return self._lead(visit, next_path, asked, ticket, redirect)
        if wants_page(visit) and not is_prefetch(visit):
            offer = functools.partial(_offer, visit, self._site)
            return self._lead(visit, next_path, asked, ticket, offer)
        description = (
            "A sign-in starts when a page is opened, not by a prefetch, an image or a script."
        )
        content = {"error": "not_a_navigation", "error_description": description}
        return json_reply(403, content)

    def _canonical_login(self, visit: Visit) -> str | None:
        """Returns this login on the website's own host, if the browser came by another name.

        The callback goes to the own host, which gets no cookie of another host. A proxy may rewrite
        `Host`: to a name inside (a single label, as test clients send too), which no browser came
        by, or to anything else, so this redirects at most once.
        """
        host = visit.header("host")
        if host is None or is_internal(host) or "moved=1" in visit.query.split("&"):
            return None
        base_url = self._settings.base_url
        try:
            same = normal_origin(f"{base_url.partition('://')[0]}://{host}") == base_url
        except ValueError:
            same = False
        if same:
            return None
        next_path = safe_next(read_next(visit), prefix=self._settings.prefix)
        asked = read_asked(visit)
        path = self._settings.login_path(next_path, max_age=asked.max_age, approved=asked.approved)
        return f"{base_url}{path}&moved=1"

    def _lead(
        self,
        visit: Visit,
        next_path: str,
        asked: Asked,
        ticket: Ticket | None,
        answer: Callable[..., Reply],
    ) -> Flow[Outcome]:
        try:
            metadata = yield from self._site.provider.metadata()
            begun, cookies = transaction.begin(visit, next_path, self._site, asked=asked)
            if ticket is None:
                location = authorization_url(begun, self._settings, metadata)
            else:
                parameters = authorization_request(begun, self._settings)
                location = yield from push(parameters, ticket, metadata, self._site)
        except AuthError as error:
            return (yield from self._refuse(visit, error, next_path))
        return answer(location, cookies=cookies)


def _offer(visit: Visit, site: Site, location: str, *, cookies: tuple[Cookie, ...]) -> Reply:
    """Answers a service worker's navigation with a page: its `fetch` cannot follow a redirect to
    the server, but the visitor can.
    """
    reply = page(
        403,
        "Sign in with Auth Agent",
        "The sign-in continues at the Auth Agent server.",
        code="sign_in_offered",
        site=site.settings,
        button=Button(location, "Continue to sign in"),
        cookies=cookies,
    )
    return dressed(site.hooks, reply, visit)


def method_not_allowed(allowed: str) -> Reply:
    content = {"error": "method_not_allowed", "error_description": f"Use {allowed}."}
    return json_reply(405, content, headers=(("Allow", allowed),))
