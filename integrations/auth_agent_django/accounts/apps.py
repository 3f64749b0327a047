from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "auth_agent_django.accounts"
    label = "auth_agent_accounts"
    verbose_name = "Auth Agent"
    default_auto_field = "django.db.models.BigAutoField"
