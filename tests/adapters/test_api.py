"""An API without sign-in, on every stack: two variables, tokens, no trace of a login."""

from __future__ import annotations

import httpx2
import pytest

from tests.adapters.conftest import TLS
from tests.adapters.stacks import STACKS

NO_CLIENT = {"sign_in": False, "client_id": "", "client_secret": None, "secret": ()}
WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.fixture(params=STACKS)
def api(request, serve):
    base_url = serve(request.param, api_scopes="reports:read", **NO_CLIENT)
    with httpx2.Client(base_url=base_url, timeout=30, verify=TLS) as client:
        yield client


def test_tokens_get_in_and_nothing_signs_in(api, provider):
    base_url = str(api.base_url).rstrip("/")
    for path in ("/me", "/reports", "/private/report"):
        refused = api.get(path, headers={"accept": "text/html"})
        assert refused.status_code == 401, path
        assert f'resource_metadata="{base_url}{WELL_KNOWN}"' in refused.headers["www-authenticate"]
        assert "login" not in refused.text
        assert "link" not in refused.headers
    assert 'scope="reports:read"' in api.get("/reports").headers["www-authenticate"]
    assert api.get(WELL_KNOWN).json()["scopes_supported"] == ["reports:read"]
    assert api.get("/auth-agent/login").status_code != 303
    assert "link" not in api.get("/page").headers or "login" not in api.get("/page").headers["link"]
    token = provider.access_token(aud=base_url, scope="openid")
    headers = {"authorization": f"Bearer {token}"}
    assert api.get("/me", headers=headers).json() == {"agent_id": "agent_7", "via": "bearer"}
    assert api.get("/private/report", headers=headers).status_code == 200
    lacking = api.get("/reports", headers=headers)
    assert lacking.status_code == 403
    assert 'scope="reports:read"' in lacking.headers["www-authenticate"]
    assert not api.cookies
