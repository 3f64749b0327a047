import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AgentProfile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("issuer", models.CharField(max_length=255, verbose_name="issuer")),
                ("subject", models.CharField(max_length=255, verbose_name="agent")),
                (
                    "model",
                    models.CharField(
                        blank=True,
                        help_text="Named by the agent itself, not verified.",
                        max_length=200,
                        verbose_name="model",
                    ),
                ),
                (
                    "owner_email",
                    models.EmailField(blank=True, max_length=254, verbose_name="owner's e-mail"),
                ),
                (
                    "owner_email_verified",
                    models.BooleanField(default=False, verbose_name="verified"),
                ),
                (
                    "scenario",
                    models.CharField(
                        choices=[
                            ("full", "full account"),
                            ("contextual", "contextual profile"),
                            ("fresh", "fresh profile"),
                        ],
                        max_length=16,
                        verbose_name="scenario",
                    ),
                ),
                (
                    "first_seen",
                    models.DateTimeField(auto_now_add=True, verbose_name="first sign-in"),
                ),
                (
                    "last_seen",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="last sign-in"
                    ),
                ),
                (
                    "blocked",
                    models.BooleanField(
                        default=False,
                        help_text="Can neither sign in nor use its session.",
                        verbose_name="blocked",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        help_text=(
                            "Set at each sign-in: the user with the same e-mail address, "
                            "verified here and at the server."
                        ),
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="agent_profiles",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="owner's account",
                    ),
                ),
            ],
            options={
                "verbose_name": "agent",
                "verbose_name_plural": "agents",
                "ordering": ("-last_seen",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("issuer", "subject"), name="auth_agent_identity"
                    )
                ],
            },
        ),
    ]
