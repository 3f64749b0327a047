from auth_agent.testing import approved, make_agent, sign_in
from examples import pages
from examples.flask_site import app


def test_anybody_sees_the_catalogue():
    assert "Sign in with Auth Agent" in app.test_client().get("/").text


def test_a_stranger_is_asked_to_sign_in():
    for path in ("/me", "/reports", "/private/report"):
        answer = app.test_client().get(path)
        assert (answer.status_code, answer.json["error"]) == (401, "login_required")


def test_an_agent_sees_who_it_is():
    client = app.test_client()
    sign_in(client, make_agent(id="agent_1"))
    assert client.get("/me").json["agent_id"] == "agent_1"
    assert client.get("/private/report").status_code == 200


def test_reports_need_a_scope():
    client = app.test_client()
    sign_in(client, make_agent())
    assert client.get("/reports").status_code == 403
    sign_in(client, make_agent(scopes=["reports:read"]))
    assert client.get("/reports").status_code == 200


def test_a_refund_needs_the_owner():
    client, scopes = app.test_client(), ["refunds:write"]
    sign_in(client, make_agent(scopes=scopes))
    refused = client.post("/refunds/1041")
    assert (refused.status_code, refused.json["error"]) == (401, "insufficient_authorization")
    assert refused.json["authorization_details"] == [pages.refund_of("1041")]
    other = {**pages.refund_of("1041"), "amount": "1200.00"}
    sign_in(client, make_agent(scopes=scopes, claims=approved(other)))
    assert client.post("/refunds/1041").status_code == 401
    sign_in(client, make_agent(scopes=scopes, claims=approved(pages.refund_of("1041"))))
    assert client.post("/refunds/1041").json["refunded"] == "12.00"
    assert client.post("/refunds/1041").status_code == 401
    assert client.post("/refunds/9").status_code == 404
