"""The website's record of an agent."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

MAX_IDENTITY = 255  # OpenID Connect Core 2: sub is at most 255 characters


class AgentProfile(models.Model):
    """One agent; `issuer` and `subject` together are its identity, all else may change."""

    class Scenario(models.TextChoices):
        FULL = "full", _("full account")
        CONTEXTUAL = "contextual", _("contextual profile")
        FRESH = "fresh", _("fresh profile")

    issuer = models.CharField(_("issuer"), max_length=MAX_IDENTITY)
    subject = models.CharField(_("agent"), max_length=MAX_IDENTITY)
    model = models.CharField(
        _("model"),
        max_length=200,
        blank=True,
        help_text=_("Named by the agent itself, not verified."),
    )
    owner_email = models.EmailField(_("owner's e-mail"), blank=True)
    owner_email_verified = models.BooleanField(_("verified"), default=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner's account"),
        related_name="agent_profiles",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        help_text=_(
            "Set at each sign-in: the user with the same e-mail address, verified here and at "
            "the server."
        ),
    )
    scenario = models.CharField(_("scenario"), max_length=16, choices=Scenario.choices)
    first_seen = models.DateTimeField(_("first sign-in"), auto_now_add=True)
    last_seen = models.DateTimeField(_("last sign-in"), default=timezone.now)
    blocked = models.BooleanField(
        _("blocked"), default=False, help_text=_("Can neither sign in nor use its session.")
    )

    class Meta:
        verbose_name = _("agent")
        verbose_name_plural = _("agents")
        constraints = (
            models.UniqueConstraint(fields=("issuer", "subject"), name="auth_agent_identity"),
        )
        ordering = ("-last_seen",)

    def __str__(self) -> str:
        return f"{self.subject}"
