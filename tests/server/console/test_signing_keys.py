"""The console's forms for the keys with which an agent signs its requests."""

from __future__ import annotations

from auth_agent.protocol.jose.private_key import thumbprint
from auth_agent.server.registry.request_keys import list_request_keys
from tests.server.keys import Pair
from tests.server.people import administrator, signed_in
from tests.server.world import ISSUER, World

ADD = "/console/agent/signing-keys"
REMOVE = f"{ADD}/remove"


def _kids(world: World) -> list[str]:
    with world.database.read() as connection:
        return [key["kid"] for key in list_request_keys(connection, world.agent.agent_id)]


def test_an_administrator_adds_and_removes_a_signing_key(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    agent_id, pair = own_world.agent.agent_id, Pair("EdDSA")
    page = f"/console/agent?id={agent_id}"
    assert "The agent has no signing key" in ada.get(page).text
    added = ada.send(page, ADD, id=agent_id, signing_key=pair.pem)
    assert added.status_code == 303
    shown = ada.get(added.headers["location"]).text
    assert f"{ISSUER}/agents/{agent_id}" in shown
    kid = thumbprint(pair.jwk)
    assert _kids(own_world) == [kid]
    assert kid in shown
    for wrong in (pair.pem, Pair().pem, "", pair.pem.replace("PUBLIC", "PRIVATE")):
        answer = ada.send(page, ADD, id=agent_id, signing_key=wrong)
        assert (answer.status_code, 'role="alert"' in answer.text) == (400, True)
    assert ada.send(page, REMOVE, id=agent_id, kid=kid).status_code == 303
    assert _kids(own_world) == []
    assert ada.send(page, REMOVE, id=agent_id, kid=kid).status_code == 404
    assert ada.send(page, ADD, id="none", signing_key=Pair("EdDSA").pem).status_code == 404


def test_nobody_else_does(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    fields = {"id": own_world.agent.agent_id, "signing_key": Pair("EdDSA").pem}
    assert ada.post(ADD, **fields).status_code in (400, 403), "a form of another page"
    own_world.browser().post(ADD, data=fields)
    assert _kids(own_world) == []
