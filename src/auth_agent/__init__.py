"""Let AI agents sign in to a website with an identity of their own.

The relying party's core: no framework, no event loop and no HTTP client is imported here.
"""

from auth_agent.errors import (
    AuthError,
    ServerMisbehaved,
    ServerUnavailable,
    SettingsError,
    SignatureRefused,
    SignInRefused,
    TokenRefused,
)
from auth_agent.website.agent import Agent
from auth_agent.website.config.settings import Settings
from auth_agent.website.gate import RelyingParty
from auth_agent.website.policy.accounts import may_link
from auth_agent.website.policy.requirement import Requirement
from auth_agent.website.web.button import login_button, login_button_style
from auth_agent.website.web.own_page import Page

__all__ = [
    "Agent",
    "AuthError",
    "Page",
    "RelyingParty",
    "Requirement",
    "ServerMisbehaved",
    "ServerUnavailable",
    "Settings",
    "SettingsError",
    "SignInRefused",
    "SignatureRefused",
    "TokenRefused",
    "login_button",
    "login_button_style",
    "may_link",
]
