"""Let AI agents sign in to a website with an identity of their own.

The relying party's core: no framework, no event loop and no HTTP client is imported here.
"""

from auth_agent.agent import Agent
from auth_agent.errors import (
    AuthError,
    ServerMisbehaved,
    ServerUnavailable,
    SettingsError,
    SignInRefused,
    TokenRefused,
)
from auth_agent.gate import RelyingParty
from auth_agent.policy import Requirement
from auth_agent.settings import Settings

__all__ = [
    "Agent",
    "AuthError",
    "RelyingParty",
    "Requirement",
    "ServerMisbehaved",
    "ServerUnavailable",
    "Settings",
    "SettingsError",
    "SignInRefused",
    "TokenRefused",
]
