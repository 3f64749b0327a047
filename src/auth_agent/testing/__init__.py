"""Test support for websites: agents, settings, signed-in clients, and a server that can fail."""

from auth_agent.testing.agents import approved, make_agent, test_environ, test_settings
from auth_agent.testing.clients import sign_in
from auth_agent.testing.credentials import (
    bearer_headers,
    dpop_headers,
    session_cookies,
    signature_headers,
)
from auth_agent.testing.issuer import ABSENT
from auth_agent.testing.provider import json_response
from auth_agent.testing.server import FakeServer

__all__ = [
    "ABSENT",
    "FakeServer",
    "approved",
    "bearer_headers",
    "dpop_headers",
    "json_response",
    "make_agent",
    "session_cookies",
    "sign_in",
    "signature_headers",
    "test_environ",
    "test_settings",
]
