"""The hooks of the relying party: first the accounts, then the website's function, then signals."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings

from auth_agent.errors import AuthError
from auth_agent.website.agent import Agent
from auth_agent.website.config.site import name_of
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.web.outcome import Pass
from auth_agent.website.web.own_page import Page
from auth_agent_django.configuration import Configuration
from auth_agent_django.entry import visit_of
from auth_agent_django.signals import agent_refused, agent_signed_in, agent_signed_out


def open_relying_party(configuration: Configuration, *, is_async: bool) -> RelyingParty:
    """Returns the website's relying party; under ASGI its functions run in the database thread."""
    adapt = _in_database_thread if is_async else _as_it_is
    judges = configuration.accounts is not None or configuration.is_welcome is not None

    def render(page: Page) -> Any:
        return _render(configuration, relying_party, page)

    relying_party = RelyingParty(
        configuration.settings,
        on_sign_in=adapt(functools.partial(_signed_in, configuration)),
        on_refused=adapt(functools.partial(_refused, configuration)),
        on_sign_out=adapt(functools.partial(_signed_out, configuration)),
        is_welcome=adapt(functools.partial(_is_welcome, configuration)) if judges else None,
        render_page=render if configuration.render_page is not None else None,
        accounts=_name_accounts(configuration),
    )
    return relying_party


def _render(configuration: Configuration, relying_party: RelyingParty, page: Page) -> Any:
    """Calls the website's function with a request that templates can ask for its agent."""
    assert configuration.render_page is not None  # noqa: S101  (for mypy)
    request = page.request
    if not hasattr(request, "auth_agent_entry"):  # the middleware answers by itself
        request.auth_agent_entry = Entry(relying_party, visit_of(request), Pass(None))
    return configuration.render_page(page)


def _name_accounts(configuration: Configuration) -> str:
    """Names the accounts of `account_id` by scenario, user model and the website's hook."""
    own = configuration.on_sign_in
    users = settings.AUTH_USER_MODEL if configuration.accounts is not None else None
    return f"django {configuration.accounts} {users} {own and name_of(own)}"


def _signed_in(configuration: Configuration, agent: Agent) -> str | None:
    account_id = None
    if configuration.accounts is not None:
        from auth_agent_django.accounts.arrival import arrive  # noqa: PLC0415  # needs its models

        account_id = arrive(agent, configuration)
    if configuration.on_sign_in is not None:
        own = _sync(configuration.on_sign_in)(agent)
        if own is not None and configuration.accounts is not None:
            from auth_agent_django.accounts.arrival import leave_to_site  # noqa: PLC0415

            leave_to_site(agent)
        account_id = account_id if own is None else str(own)
    known = msgspec.structs.replace(agent, account_id=account_id)
    agent_signed_in.send(sender=Agent, agent=known)
    return account_id


def _is_welcome(configuration: Configuration, agent: Agent) -> bool:
    own = configuration.is_welcome
    if own is not None and _sync(own)(agent) is not True:
        return False
    if configuration.accounts is None:
        return True
    from auth_agent_django.accounts.arrival import still_fits  # noqa: PLC0415  # needs its models

    return still_fits(agent, configuration)


def _refused(configuration: Configuration, error: AuthError) -> None:
    if configuration.on_refused is not None:
        _sync(configuration.on_refused)(error)
    agent_refused.send(sender=Agent, error=error)


def _signed_out(configuration: Configuration, agent: Agent) -> None:
    if configuration.on_sign_out is not None:
        _sync(configuration.on_sign_out)(agent)
    agent_signed_out.send(sender=Agent, agent=agent)


def _sync(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a plain function; an async one runs in the event loop of the request."""
    return async_to_sync(function) if iscoroutinefunction(function) else function


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _in_database_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a function in the thread in which Django opens and closes its connections."""
    in_thread = sync_to_async(function, thread_sensitive=True)

    async def told(argument: Any) -> Any:
        return await in_thread(argument)

    return told
