"""The Django app, which brings the system checks and the template tags."""

from django.apps import AppConfig
from django.core import checks


class AuthAgentConfig(AppConfig):
    name = "auth_agent_django"
    verbose_name = "Auth Agent"

    def ready(self) -> None:
        from auth_agent_django.checks import check_site  # noqa: PLC0415  # once apps are there

        checks.register(check_site, checks.Tags.security)
