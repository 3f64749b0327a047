"""{% load auth_agent %} {% auth_agent_button %} {% auth_agent_sign_out %}"""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from auth_agent_django.views import login_path, logout_path

register = template.Library()


@register.simple_tag(takes_context=True)
def auth_agent_button(
    context: dict[str, Any],
    text: str = "Sign in with Auth Agent",
    next: str | None = None,
    css: str = "auth-agent-button",
) -> SafeString:
    """Returns the link that signs an agent in and returns to `next`, or else to this page."""
    request = context["request"]
    path = login_path(request, request.get_full_path() if next is None else next)
    return format_html('<a class="{}" href="{}">{}</a>', css, path, text)


@register.simple_tag(takes_context=True)
def auth_agent_sign_out(
    context: dict[str, Any], text: str = "Sign out", css: str = "auth-agent-sign-out"
) -> SafeString:
    """Returns the form that signs the agent out; the route checks the origin, not a token."""
    form = '<form class="{}" method="post" action="{}"><button>{}</button></form>'
    return format_html(form, css, logout_path(context["request"]), text)
