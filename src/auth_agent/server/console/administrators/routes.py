"""The routes of the console."""

from __future__ import annotations

from auth_agent.server.console.administrators import (
    agents,
    entrance,
    history,
    invitations,
    keys,
    own_passkeys,
    resources,
    signing_keys,
    websites,
)
from auth_agent.server.console.administrators.overview.page import overview
from auth_agent.server.console.visit import Guarded, console_page, guarded
from auth_agent.server.context import Context
from auth_agent.server.web.pages.refusals import page
from auth_agent.server.web.route import Route

_OPEN: tuple[Route[Context], ...] = (
    Route("GET", "/console/sign-in", entrance.sign_in_page, says_no=page),
    Route("POST", "/console/sign-in", entrance.sign_in, says_no=page),
    Route("POST", "/console/sign-in/passkey", own_passkeys.sign_in, says_no=page),
    Route("GET", "/console/setup", entrance.setup_page, says_no=entrance.setup_refused),
    Route("POST", "/console/setup", entrance.setup, says_no=entrance.setup_refused),
)
_GUARDED: tuple[tuple[str, str, Guarded], ...] = (
    ("GET", "/console", overview),
    ("POST", "/console/sign-out", entrance.sign_out),
    ("GET", "/console/account", entrance.account_page),
    ("POST", "/console/account", entrance.change_password),
    ("POST", "/console/account/passkeys/add", own_passkeys.add),
    ("POST", "/console/account/passkeys/remove", own_passkeys.remove),
    ("GET", "/console/agents", agents.agents_page),
    ("GET", "/console/agents/export.{suffix}", agents.export_agents),
    ("GET", "/console/agents/new", agents.new_agent_page),
    ("POST", "/console/agents/new", agents.add_agent),
    ("GET", "/console/agent", agents.agent_page),
    ("GET", "/console/agent/edit", agents.edit_agent_page),
    ("POST", "/console/agent/edit", agents.edit_agent),
    ("POST", "/console/agent/disable", agents.disable_agent),
    ("POST", "/console/agent/enable", agents.enable_agent),
    ("POST", "/console/agent/vouch", agents.vouch_for_agent),
    ("POST", "/console/agent/second-factor", agents.switch_second_factor),
    ("POST", "/console/agent/owner-passkeys", agents.remove_owners_passkeys),
    ("POST", "/console/agent/rotate-secret", agents.rotate_agent_secret),
    ("POST", "/console/agent/end-all", agents.end_agent_grants),
    ("POST", "/console/agent/signing-keys", signing_keys.add_signing_key),
    ("POST", "/console/agent/signing-keys/remove", signing_keys.remove_signing_key),
    ("POST", "/console/agent/end-at", agents.end_agent_at_website),
    ("GET", "/console/invitations", invitations.invitations_page),
    ("POST", "/console/invitations", invitations.invite_owner),
    ("POST", "/console/invitations/withdraw", invitations.withdraw_invitation),
    ("GET", "/console/websites", websites.websites_page),
    ("GET", "/console/websites/export.{suffix}", websites.export_websites),
    ("GET", "/console/websites/new", websites.new_website_page),
    ("POST", "/console/websites/new", websites.add_website),
    ("GET", "/console/website", websites.website_page),
    ("POST", "/console/website", websites.edit_website),
    ("POST", "/console/website/rotate-secret", websites.rotate_website_secret),
    ("POST", "/console/website/remove", websites.remove_website),
    ("GET", "/console/resources", resources.resources_page),
    ("POST", "/console/resources", resources.add_known_resource),
    ("POST", "/console/resources/remove", resources.remove_known_resource),
    ("GET", "/console/sign-ins", history.sign_ins_page),
    ("GET", "/console/sign-ins/export.{suffix}", history.export_sign_ins),
    ("GET", "/console/grants", history.grants_page),
    ("GET", "/console/grants/export.{suffix}", history.export_grants),
    ("POST", "/console/grants/end", history.end_grant),
    ("GET", "/console/keys", keys.keys_page),
    ("POST", "/console/keys/rotate", keys.rotate_keys),
    ("POST", "/console/keys/revoke-token", keys.revoke_token),
    ("GET", "/console/audit", history.audit_page),
    ("GET", "/console/audit/export.{suffix}", history.export_audit),
)

CONSOLE: tuple[Route[Context], ...] = (
    *_OPEN,
    *(
        Route(method, path, guarded(handler), says_no=console_page)
        for method, path, handler in _GUARDED
    ),
)
