"""The admin pages on which an administrator sees agents and blocks them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from auth_agent_django.accounts.models import AgentProfile


@admin.register(AgentProfile)
class AgentProfileAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not at run time
    """Shows the claims of the agent's server as read-only; only `blocked` can be changed."""

    list_display = (
        "subject", "state", "model", "owner_email", "owner_email_verified", "user", "scenario",
        "last_seen",
    )  # fmt: skip
    list_filter = ("blocked", "scenario", "owner_email_verified", "model", "issuer")
    list_select_related = ("user",)
    search_fields = ("subject", "owner_email", "model")
    date_hierarchy = "last_seen"
    actions = ("block", "unblock")
    fields = (
        "subject", "issuer", "model", "owner_email", "owner_email_verified", "user", "scenario",
        "first_seen", "last_seen", "blocked",
    )  # fmt: skip
    readonly_fields = fields[:-1]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Forbids deletion: a blocked agent without its profile could sign in again as new."""
        return super().has_delete_permission(request, obj) and not (obj and obj.blocked)

    @admin.display(description=_("state"), ordering="blocked")
    def state(self, profile: AgentProfile) -> str:
        return str(_("blocked") if profile.blocked else _("welcome"))

    @admin.action(description=_("Block the selected agents"), permissions=["change"])
    def block(self, request: HttpRequest, agents: QuerySet[AgentProfile]) -> None:
        self._set_blocked(request, agents, blocked=True)

    @admin.action(description=_("Unblock the selected agents"), permissions=["change"])
    def unblock(self, request: HttpRequest, agents: QuerySet[AgentProfile]) -> None:
        self._set_blocked(request, agents, blocked=False)

    def _set_blocked(self, request: HttpRequest, agents: QuerySet[Any], *, blocked: bool) -> None:
        changed = list(agents.exclude(blocked=blocked))
        agents.update(blocked=blocked)
        for profile in changed:
            self.log_change(request, profile, "Blocked." if blocked else "Unblocked.")
        count = len(changed)
        if blocked:
            text = ngettext("%d agent is blocked.", "%d agents are blocked.", count) % count
        else:
            text = ngettext("%d agent is unblocked.", "%d agents are unblocked.", count)
            text %= count
        self.message_user(request, text, messages.SUCCESS)
