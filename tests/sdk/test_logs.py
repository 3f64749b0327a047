"""What a sign-in leaves in the log: no secret, no token, no code."""

from __future__ import annotations

import logging

from tests.sdk.test_agent_client import CALLBACK


def test_a_website_is_signed_in_to_without_a_code_in_the_log(world, sign_in, caplog):
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "httpx2")  # its requests, whatever an earlier test has set
    sign_in(world.options(), f"{world.website}/me?mine=kept")
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert f"{world.website}/auth-agent/callback" in logged
    for secret in ("code=", "state=", "ac_", world.secret):
        assert secret not in logged


def test_tokens_are_got_without_one_in_the_log(world, make_sdk, caplog):
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "httpx2")  # its requests, whatever an earlier test has set
    sdk = make_sdk(**world.options())
    tokens = sdk.authorize(CALLBACK)
    renewed = sdk.refresh_access_token(tokens.refresh_token)
    sdk.get_user_info(renewed.access_token)
    sdk.revoke_token(renewed.access_token)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert f"{world.issuer}/token" in logged
    for found in (tokens, renewed):
        for secret in (found.access_token, found.refresh_token, found.id_token):
            assert secret not in logged
    assert world.secret not in logged
    assert "ac_" not in logged
