"""A customer whose e-mail address is verified, with an order, for an agent to belong to."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser

from examples.django_site.models import Customer, Order


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("email")
        parser.add_argument("--unverified", action="store_true")

    def handle(self, *args: Any, name: str, email: str, unverified: bool, **options: Any) -> None:
        user, _ = get_user_model().objects.get_or_create(username=name, defaults={"email": email})
        verified_email = "" if unverified else email
        Customer.objects.update_or_create(user=user, defaults={"verified_email": verified_email})
        Order.objects.get_or_create(user=user, item="Lamp")
        self.stdout.write(f"{name} has an order and the address {email}.")
