"""Bounds of numeric settings: lowest and highest value; lifetimes and retention in seconds."""

from __future__ import annotations

MINUTE, HOUR, DAY = 60, 3_600, 86_400  # seconds
_MANY = 1_000_000

NUMBERS = {
    "request_lifetime": (30, 3_600),
    "code_lifetime": (5, 60),
    "access_token_lifetime": (60, DAY),
    "id_token_lifetime": (60, DAY),
    "refresh_token_lifetime": (300, 365 * DAY),
    "family_lifetime": (300, 730 * DAY),
    "second_factor_lifetime": (60, 3_600),
    "approval_lifetime": (60, 3_600),
    "mailed_code_lifetime": (60, 3_600),
    "session_idle": (60, DAY),
    "session_lifetime": (300, 30 * DAY),
    "challenge_lifetime": (30, 3_600),
    "refusal_retention": (DAY, 3_650 * DAY),
    "audit_retention": (30 * DAY, 36_500 * DAY),
    "event_retention": (3_600, 3_650 * DAY),
    "max_events": (100, 100 * _MANY),
    "max_agent_events": (100, 100 * _MANY),
    "max_body": (1_024, 1_048_576),
    "limit_agent_failures": (1, _MANY),
    "limit_client_failures": (1, _MANY),
    "limit_address_failures": (1, _MANY),
    "limit_unknown_requests": (1, _MANY),
    "limit_registrations": (1, _MANY),
    "limit_refreshes": (1, _MANY),
    "limit_calls": (1, _MANY),
    "limit_agent_successes": (1, _MANY),
    "limit_refusal_records": (1, _MANY),
    "limit_pending": (1, _MANY),
}
