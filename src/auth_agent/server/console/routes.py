"""Which address of the console leads to which page."""

from __future__ import annotations

from auth_agent.server.console import agents, entrance, websites
from auth_agent.server.console import history as records
from auth_agent.server.console.visit import Guarded, PageRoute, guarded
from auth_agent.server.context import Handler
from auth_agent.server.web.pages.refusals import readable

_OPEN: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/console/sign-in", entrance.sign_in_page),
    ("POST", "/console/sign-in", entrance.sign_in),
    ("GET", "/console/setup", entrance.setup_page),
    ("POST", "/console/setup", entrance.setup),
)
_GUARDED: tuple[tuple[str, str, Guarded], ...] = (
    ("GET", "/console", records.overview),
    ("POST", "/console/sign-out", entrance.sign_out),
    ("GET", "/console/account", entrance.account_page),
    ("POST", "/console/account", entrance.change_password),
    ("GET", "/console/agents", agents.agents_page),
    ("GET", "/console/agents/new", agents.new_agent_page),
    ("POST", "/console/agents/new", agents.add_agent),
    ("GET", "/console/agent", agents.agent_page),
    ("POST", "/console/agent/disable", agents.disable_agent),
    ("POST", "/console/agent/enable", agents.enable_agent),
    ("POST", "/console/agent/vouch", agents.vouch_for_agent),
    ("POST", "/console/agent/second-factor", agents.switch_second_factor),
    ("POST", "/console/agent/rotate-secret", agents.rotate_agent_secret),
    ("POST", "/console/agent/end-all", agents.end_agent_grants),
    ("GET", "/console/websites", websites.websites_page),
    ("GET", "/console/websites/new", websites.new_website_page),
    ("POST", "/console/websites/new", websites.add_website),
    ("GET", "/console/website", websites.website_page),
    ("POST", "/console/website", websites.edit_website),
    ("POST", "/console/website/rotate-secret", websites.rotate_website_secret),
    ("POST", "/console/website/remove", websites.remove_website),
    ("GET", "/console/sign-ins", records.sign_ins_page),
    ("GET", "/console/grants", records.grants_page),
    ("POST", "/console/grants/end", records.end_grant),
    ("GET", "/console/keys", records.keys_page),
    ("POST", "/console/keys/rotate", records.rotate_keys),
    ("GET", "/console/audit", records.audit_page),
    ("GET", "/console/audit/export.{suffix}", records.export_audit),
)

CONSOLE = (
    *(PageRoute(method, path, readable(page)) for method, path, page in _OPEN),
    *(PageRoute(method, path, readable(guarded(page))) for method, path, page in _GUARDED),
)
