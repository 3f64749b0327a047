from starlette.testclient import TestClient

from auth_agent.testing import approved, make_agent, sign_in
from examples import pages
from examples.fastapi_site import app


def test_anybody_sees_the_catalogue():
    assert "Sign in with Auth Agent" in TestClient(app).get("/").text


def test_a_stranger_is_asked_to_sign_in():
    for path in ("/me", "/reports", "/private/report"):
        answer = TestClient(app).get(path)
        assert (answer.status_code, answer.json()["error"]) == (401, "login_required")


def test_a_page_leads_a_browser_to_the_sign_in():
    client = TestClient(app, follow_redirects=False, headers={"Accept": "text/html"})
    assert client.get("/me").headers["location"] == "/auth-agent/login?next=/me"


def test_an_agent_sees_who_it_is():
    client = TestClient(app)
    sign_in(client, make_agent(id="agent_1", model="claude-opus-4"))
    assert client.get("/me").json()["agent_id"] == "agent_1"
    assert client.get("/private/report").status_code == 200


def test_reports_need_a_scope():
    client = TestClient(app)
    sign_in(client, make_agent())
    assert client.get("/reports").status_code == 403
    sign_in(client, make_agent(scopes=["reports:read"]))
    assert client.get("/reports").status_code == 200


def test_a_refund_needs_the_owner():
    client, scopes = TestClient(app), ["refunds:write"]
    sign_in(client, make_agent(scopes=scopes))
    refused = client.post("/refunds/1041")
    assert (refused.status_code, refused.json()["error"]) == (401, "insufficient_authorization")
    assert refused.json()["authorization_details"] == [pages.refund_of("1041")]
    other = {**pages.refund_of("1041"), "amount": "1200.00"}
    sign_in(client, make_agent(scopes=scopes, claims=approved(other)))
    assert client.post("/refunds/1041").status_code == 401
    sign_in(client, make_agent(scopes=scopes, claims=approved(pages.refund_of("1041"))))
    assert client.post("/refunds/1041").json()["refunded"] == "12.00"
    assert client.post("/refunds/1041").status_code == 401
    assert client.post("/refunds/9").status_code == 404
