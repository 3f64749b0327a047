"""The shop's customers and what they ordered."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from auth_agent_django.accounts.models import AgentProfile


class Customer(models.Model):
    """The shop's own fields of a user."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="customer")
    verified_email = models.EmailField(blank=True)

    def __str__(self) -> str:
        return str(self.user)


class Order(models.Model):
    """Of a person, or of an agent that has a profile of its own."""

    item = models.CharField(max_length=100)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="orders"
    )
    agent = models.ForeignKey(
        AgentProfile, models.CASCADE, null=True, blank=True, related_name="orders"
    )

    def __str__(self) -> str:
        return self.item


def email_is_verified(user: object, email: str) -> bool:
    """Returns True if this customer has proved to own the address, which the shop asked by mail."""
    return Customer.objects.filter(user=user, verified_email__iexact=email).exists()
