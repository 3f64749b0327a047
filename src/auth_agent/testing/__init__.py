"""An Auth Agent server that answers in process and misbehaves on demand, for the tests of sites."""

from auth_agent.testing.provider import FakeServer

__all__ = ["FakeServer"]
