"""The routes that the relying party answers by itself, below `AUTH_AGENT_PREFIX`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from auth_agent import login, transaction
from auth_agent.challenge import may_start_login, refuse
from auth_agent.errors import AuthError, SignInRefused
from auth_agent.logout import is_own_request, revoke
from auth_agent.policy import judge_site
from auth_agent.reply import json_reply, page, post_button, redirect
from auth_agent.session import Session, cleared_cookie, read_session, session_cookie
from auth_agent.site import Site
from auth_agent.transaction import SpentStates, Transaction
from auth_agent.url import safe_next
from auth_agent.wire import Cookie, Flow, Outcome, Reply, Visit, call

logger = logging.getLogger("auth_agent")

Route = Callable[[Visit], Outcome | Flow[Outcome]]


def routes(site: Site, spent: SpentStates) -> Mapping[str, Route]:
    """Path to handler; each handler answers at once or with a flow."""
    prefix = site.settings.prefix
    return {
        f"{prefix}/login": partial(_login, site),
        f"{prefix}/callback": partial(_callback, site, spent),
        f"{prefix}/logout": partial(_logout, site),
    }


def _login(site: Site, visit: Visit) -> Outcome | Flow[Outcome]:
    if visit.method not in ("GET", "HEAD"):
        return _method_not_allowed("GET, HEAD")
    if not may_start_login(visit):
        description = (
            "A sign-in starts when a page is opened, not by a prefetch, an image or a script."
        )
        content = {"error": "not_a_navigation", "error_description": description}
        return json_reply(403, content)
    return _start(site, visit)


def _start(site: Site, visit: Visit) -> Flow[Outcome]:
    next_path = safe_next(login.read_next(visit), prefix=site.settings.prefix)
    try:
        metadata = yield from site.provider.metadata()
        begun, cookies = transaction.begin(visit, next_path, site)
        location = login.authorization_url(begun, site.settings, metadata)
    except AuthError as error:
        return (yield from _refuse(site, visit, error, next_path))
    return redirect(location, cookies=cookies)


def _callback(site: Site, spent: SpentStates, visit: Visit) -> Outcome | Flow[Outcome]:
    if visit.method != "GET":
        return _method_not_allowed("GET")
    try:
        callback = login.read_callback(visit)
        begun = transaction.recall(visit, callback.state, site)
    except SignInRefused as error:
        return _refuse(site, visit, error, "/")
    return _finish(site, spent, visit, callback, begun)


def _finish(
    site: Site, spent: SpentStates, visit: Visit, callback: login.Callback, begun: Transaction
) -> Flow[Outcome]:
    cleared = transaction.clear(begun.cookie_name, site.settings)
    try:
        session = yield from login.finish(callback, begun, spent, site)
        refusal = judge_site(session.agent, site.settings)
        if refusal is not None:
            raise SignInRefused(refusal.description, code="agent_refused", status_code=403)
        session = yield from _tell_sign_in(session, site)
        cookie = session_cookie(session, site)
    except AuthError as error:
        return (yield from _refuse(site, visit, error, begun.next, (cleared,)))
    logger.info("signed_in agent=%s client=%s", session.agent.id, session.agent.client_id)
    return redirect(begun.next, cookies=(cleared, cookie))


def _tell_sign_in(session: Session, site: Site) -> Flow[Session]:
    if site.hooks.on_sign_in is None:
        return session
    account_id = yield from call(site.hooks.on_sign_in, session.agent)
    if account_id is None:
        return session
    agent = msgspec.structs.replace(session.agent, account_id=str(account_id))
    return msgspec.structs.replace(session, agent=agent)


def _logout(site: Site, visit: Visit) -> Outcome | Flow[Outcome]:
    if visit.method in ("GET", "HEAD"):
        return page(
            200,
            "Sign out?",
            "The agent will be signed out of this website.",
            action=post_button(f"{site.settings.prefix}/logout", "Sign out"),
        )
    if visit.method != "POST":
        return _method_not_allowed("GET, HEAD, POST")
    if not is_own_request(visit, site.settings):
        description = "Only a page of this website can sign an agent out."
        content = {"error": "cross_site_request", "error_description": description}
        return json_reply(403, content)
    return _sign_out(site, visit)


def _sign_out(site: Site, visit: Visit) -> Flow[Outcome]:
    session = read_session(visit, site, site.clock())
    if session is not None:
        revoked = yield from revoke(session, site)
        logger.info("signed_out agent=%s revoked=%s", session.agent.id, revoked)
        if site.hooks.on_sign_out is not None:
            yield from call(site.hooks.on_sign_out, session.agent)
    return redirect("/", cookies=(cleared_cookie(site.settings),))


def _refuse(
    site: Site, visit: Visit, error: AuthError, next_path: str, cookies: tuple[Cookie, ...] = ()
) -> Flow[Outcome]:
    logger.warning("refused cause=%s status=%d", error.code, error.status_code)
    if site.hooks.on_refused is not None:
        yield from call(site.hooks.on_refused, error)
    return refuse(visit, site.settings, error, next_path=next_path, cookies=cookies)


def _method_not_allowed(allowed: str) -> Reply:
    content = {"error": "method_not_allowed", "error_description": f"Use {allowed}."}
    return json_reply(405, content, headers=(("Allow", allowed),))
