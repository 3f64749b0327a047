"""The website's own routes, below `AUTH_AGENT_PREFIX`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from auth_agent.errors import AuthError, SignInRefused
from auth_agent.flow.effects import Flow, invoke, limited
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.website.agent import copied
from auth_agent.website.config.site import Site
from auth_agent.website.events import log_event, logger
from auth_agent.website.policy.challenge import refuse
from auth_agent.website.policy.resource import answer_metadata, metadata_paths
from auth_agent.website.recognition.recogniser import Sessions
from auth_agent.website.recognition.store import Store
from auth_agent.website.sign_in import backchannel, login, transaction
from auth_agent.website.sign_in.arrival import arrive
from auth_agent.website.sign_in.logout import revoke
from auth_agent.website.sign_in.missing_state import refuse_reused
from auth_agent.website.sign_in.queries import Callback, read_callback
from auth_agent.website.sign_in.start import Starts, method_not_allowed
from auth_agent.website.sign_in.transaction import SpentStates, Transaction
from auth_agent.website.web.origin import (
    is_navigation,
    is_own_request,
)
from auth_agent.website.web.outcome import Outcome, Reply
from auth_agent.website.web.own_page import dressed
from auth_agent.website.web.replies import Button, json_reply, page, redirect
from auth_agent.website.web.visit import Cookie, Visit

Route = Callable[[Visit], Outcome | Flow[Outcome]]


class Routes:
    """Each handler returns a reply, or a flow if it needs I/O."""

    def __init__(self, site: Site, sessions: Sessions, store: Store | None) -> None:
        self._site = site
        self._sessions = sessions
        self._settings = site.settings
        self._store = store
        self._spent = SpentStates()
        self._starts = Starts(site, self._refuse)

    def table(self) -> Mapping[str, Route]:
        """Returns the handlers by path; an API without browser sign-in has the metadata alone."""
        prefix = self._settings.prefix
        metadata = dict.fromkeys(metadata_paths(self._settings), self._resource_metadata)
        if not self._settings.sign_in:
            return metadata
        return {
            **metadata,
            f"{prefix}/login": self._starts.login,
            f"{prefix}/approve": self._starts.approve,
            f"{prefix}/callback": self._callback,
            f"{prefix}/logout": self._logout,
            f"{prefix}/backchannel-logout": self._backchannel_logout,
        }

    def _callback(self, visit: Visit) -> Outcome | Flow[Outcome]:
        if visit.method != "GET":
            return method_not_allowed("GET")
        try:
            callback = read_callback(visit)
            begun = transaction.recall(visit, callback.state, self._site, self._spent)
        except SignInRefused as error:
            return self._refuse(visit, error, self._settings.home)
        return self._finish(visit, callback, begun)

    def _finish(self, visit: Visit, callback: Callback, begun: Transaction) -> Flow[Outcome]:
        cleared = transaction.clear(begun.cookie_name, self._settings)
        try:
            since = yield from self._sessions.count_ends()
            spend = self._spend(begun)
            session = yield from limited(
                "sign_in", lambda: login.finish(callback, begun, spend, self._site)
            )
            cookies = yield from arrive(visit, session, since, self._sessions, self._site)
        except AuthError as error:
            return (yield from self._refuse(visit, error, begun.next, (cleared,)))
        self._spent.remember_session(begun, cookies)
        log_event("signed_in", agent=session.agent.id, client=session.agent.client_id)
        return redirect(begun.next, cookies=(cleared, *cookies))

    def _spend(self, begun: Transaction) -> Callable[[], Flow[None]]:
        """Makes sure that a code is sent once, on all machines if they share a store."""

        def spend() -> Flow[None]:
            self._spent.spend(begun, self._site.clock())
            seconds = transaction.LIFETIME + CLOCK_SKEW
            store, name = self._store, begun.cookie_name
            if store is not None and not (yield from store.spend(name, seconds)):
                raise refuse_reused()

        return spend

    def _tell(self, hook: Callable[[Any], Any] | None, subject: object) -> Flow[None]:
        """Calls the website's hook; its failure changes nothing, because the event is complete."""
        if hook is None:
            return
        try:
            yield from invoke(hook, subject)
        except Exception:  # noqa: BLE001  # the website's own mistake, which its log shows
            logger.exception("A hook of this website has failed.")

    def _logout(self, visit: Visit) -> Outcome | Flow[Outcome]:
        if visit.method in ("GET", "HEAD"):
            return self._sign_out_page(visit, 200)
        if visit.method != "POST":
            return method_not_allowed("GET, HEAD, POST")
        if not is_own_request(visit, self._settings.base_url):
            # A page without a referrer sends `Origin: null`; our own page asks once more.
            if visit.header("origin") == "null" and is_navigation(visit):
                return self._sign_out_page(visit, 403)
            description = "Only a page of this website can sign an agent out."
            content = {"error": "cross_site_request", "error_description": description}
            return json_reply(403, content)
        return self._sign_out(visit)

    def _sign_out_page(self, visit: Visit, status: int) -> Reply:
        """Asks with a form, whose redirect may leave the site: `form-action` would stop it."""
        reply = page(
            status,
            "Sign out?",
            "The agent will be signed out of this website.",
            code="sign_out",
            site=self._settings,
            button=Button(f"{self._settings.prefix}/logout", "Sign out", "post"),
            leads_away=True,
        )
        return dressed(self._site.hooks, reply, visit)

    def _sign_out(self, visit: Visit) -> Flow[Outcome]:
        try:
            session, cookies = yield from self._sessions.close(visit)
        except AuthError as error:  # the store is unreachable: this must not look like a sign-out
            return (yield from self._refuse(visit, error, self._settings.home))
        if session is not None:
            revoked = yield from revoke(session, self._site)
            log_event(
                "signed_out",
                agent=session.agent.id,
                client=session.agent.client_id,
                revoked=revoked,
            )
            yield from self._tell(self._site.hooks.on_sign_out, copied(session.agent))
        return redirect(self._settings.home, cookies=cookies)

    def _backchannel_logout(self, visit: Visit) -> Outcome | Flow[Outcome]:
        if visit.method != "POST":
            return method_not_allowed("POST")
        if self._store is None:
            return backchannel.refuse_without_store()
        return backchannel.end_sessions(visit, self._store, self._site)

    def _resource_metadata(self, visit: Visit) -> Outcome:
        return answer_metadata(visit, self._settings)

    def _refuse(
        self, visit: Visit, error: AuthError, next_path: str, cookies: tuple[Cookie, ...] = ()
    ) -> Flow[Outcome]:
        log_event(
            "refused",
            level=logging.WARNING,
            cause=error.code,
            status=error.status_code,
            detail=error.description,
        )
        yield from self._tell(self._site.hooks.on_refused, error)
        reply = refuse(visit, self._settings, error, next_path=next_path, cookies=cookies)
        return dressed(self._site.hooks, reply, visit)
