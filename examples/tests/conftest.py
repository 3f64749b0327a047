"""The shops read their settings when they are imported or first asked: these are for tests."""

import os

from auth_agent.testing import test_environ

os.environ.update(test_environ(protect="/private/*", scope="openid profile email reports:read"))
