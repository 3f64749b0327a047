"""{% load auth_agent %} {% auth_agent_button %} {% auth_agent_sign_out %}"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from auth_agent.website.web.button import LookFields, login_button, login_button_style
from auth_agent_django.views import login_path, logout_path

if TYPE_CHECKING:
    from typing_extensions import Unpack

register = template.Library()


@register.simple_tag(takes_context=True)
def auth_agent_button(
    context: dict[str, Any],
    text: str = "Sign in with Auth Agent",
    next: str | None = None,
    css: str = "",
    **shown: Unpack[LookFields],
) -> SafeString:
    """Returns the button that signs an agent in and returns to `next`, or else to this page.

    Takes look, large and icon_only; with `css`, a class of your own, it is a plain link.
    """
    request = context["request"]
    path = login_path(request, request.get_full_path() if next is None else next)
    if css:
        return format_html('<a class="{}" href="{}">{}</a>', css, path, text)
    return mark_safe(login_button(path, text=text, **shown))  # noqa: S308  # it escapes both


@register.simple_tag
def auth_agent_button_style(nonce: str = "") -> SafeString:
    """Returns the button's style, for the page's head."""
    return mark_safe(login_button_style(nonce))  # noqa: S308  # it escapes the nonce


@register.simple_tag(takes_context=True)
def auth_agent_sign_out(
    context: dict[str, Any], text: str = "Sign out", css: str = "auth-agent-sign-out"
) -> SafeString:
    """Returns the form that signs the agent out; the route checks the origin, not a token."""
    form = '<form class="{}" method="post" action="{}"><button>{}</button></form>'
    return format_html(form, css, logout_path(context["request"]), text)
