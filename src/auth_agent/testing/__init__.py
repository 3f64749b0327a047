"""An Auth Agent server that answers in process and misbehaves on demand, for the tests of sites."""

from auth_agent.testing.issuer import ABSENT
from auth_agent.testing.provider import FakeServer, json_response

__all__ = ["ABSENT", "FakeServer", "json_response"]
