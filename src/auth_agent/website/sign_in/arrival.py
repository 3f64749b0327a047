"""The end of every sign-in: the site's policy, the website's hook, the session."""

from __future__ import annotations

import msgspec

from auth_agent.errors import SignInRefused
from auth_agent.flow.effects import Flow, invoke
from auth_agent.website.config.site import Site
from auth_agent.website.policy.requirement import judge_site
from auth_agent.website.recognition.recogniser import Sessions
from auth_agent.website.recognition.session import Session
from auth_agent.website.sign_in.logout import revoke
from auth_agent.website.web.visit import Cookie, Visit


def arrive(
    visit: Visit, session: Session, since: int, sessions: Sessions, site: Site
) -> Flow[tuple[Cookie, ...]]:
    """Opens the session in place of the visit's and returns its cookies.

    Raises `SignInRefused` if the policy or the hook refuses the agent, and revokes its tokens. The
    hook runs when the session is reserved, so that it learns of no sign-in that cannot be kept.
    `since` is the value of `count_ends` at the start of the sign-in.
    """
    try:
        return (yield from _arrive(visit, session, since, sessions, site))
    except Exception:
        yield from revoke(session, site)
        raise


def _arrive(
    visit: Visit, session: Session, since: int, sessions: Sessions, site: Site
) -> Flow[tuple[Cookie, ...]]:
    refusal = judge_site(session.agent, site.settings)
    if refusal is not None and not site.settings.report_only:
        raise SignInRefused(refusal.description, code="agent_refused", status_code=403)
    yield from sessions.reserve(session, since)
    try:
        session = yield from _tell(session, site)
        return (yield from sessions.open(visit, session))
    except Exception:
        yield from sessions.withdraw(session)
        raise


def _tell(session: Session, site: Site) -> Flow[Session]:
    """Calls the website's hook; returns the session with the account that it names."""
    hook = site.hooks.on_sign_in
    account_id = None if hook is None else (yield from invoke(hook, session.agent))
    if account_id is None:
        return session
    agent = msgspec.structs.replace(session.agent, account_id=str(account_id))
    return msgspec.structs.replace(session, agent=agent, accounts=site.hooks.accounts)
