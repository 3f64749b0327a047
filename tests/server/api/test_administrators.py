"""Who may administer: the holder of a token, as long as it is good."""

from __future__ import annotations

from typing import Any

import pytest

from auth_agent.server.api.administrators import need_admin
from auth_agent.server.registry.people import admin_tokens as administrators
from auth_agent.server.web.call import Call, Refusal
from tests.server.world import World


def _ask(world: World, header: str | None) -> Any:
    headers = {} if header is None else {"authorization": header}
    call = Call("GET", "/x", {}, b"", headers, b"", "127.0.0.1")
    return need_admin(world.context, call)


def test_the_token_opens_and_nothing_else_does(own_world: World) -> None:
    token = administrators.add_admin(own_world.database, "Root", own_world.context.now())
    assert _ask(own_world, f"bearer {token.reveal()}").name == "Root"
    for wrong in (None, "", "Bearer", "Bearer x", f"Basic {token.reveal()}", token.reveal()):
        with pytest.raises(Refusal) as refused:
            _ask(own_world, wrong)
        assert refused.value.status == 401
        assert refused.value.headers[0][0] == "www-authenticate"


def test_a_token_ends(own_world: World) -> None:
    now = own_world.context.now()
    token = administrators.add_admin(own_world.database, "Root", now, lifetime=60).reveal()
    admin = administrators.find_admin(own_world.database, token, now + 59)
    assert admin
    assert administrators.find_admin(own_world.database, token, now + 60) is None
    assert administrators.revoke_admin(own_world.database, admin.id, now)
    assert not administrators.revoke_admin(own_world.database, admin.id, now)
    assert administrators.find_admin(own_world.database, token, now) is None
