"""Sign-ins that arrive together on SQLite, in a database file as a website has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys, threading
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "auth_agent_django",
                    "auth_agent_django.accounts"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True,
    AUTH_AGENT={"ACCOUNTS": "contextual"},
)
django.setup()
from django.core.management import call_command
from django.db import connection
from django.test.utils import setup_test_environment
setup_test_environment()
call_command("migrate", verbosity=0)

from auth_agent.testing import make_agent
from auth_agent_django.accounts.models import AgentProfile
from auth_agent_django.configuration import Configuration
from auth_agent_django.hooks import open_relying_party

hook = open_relying_party(Configuration.read(), is_async=False)._site.hooks.on_sign_in
start, problems = threading.Barrier(8), []

def arrive(number):
    start.wait()
    try:
        for turn in range(40):
            hook(make_agent(id=f"agent_{turn % 5}"))
    except Exception as error:
        problems.append(repr(error))
    finally:
        connection.close()

threads = [threading.Thread(target=arrive, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(problems), AgentProfile.objects.count(), problems[:1])
"""


def test_agents_that_arrive_together_wait_for_each_other(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "site.db")],
        capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.strip() == "0 5 []", done.stdout + done.stderr
