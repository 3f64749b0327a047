"""The OpenAPI document: complete, and true in the eyes of Schemathesis."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from auth_agent.server import ServerSettings, create_app
from auth_agent.server.api import routes as api
from auth_agent.server.api.openapi.document import OPERATIONS, document
from auth_agent.server.oauth import routes as oauth
from auth_agent.server.sign_in import routes as sign_in
from tests.server.world import ISSUER, World

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import not_a_server_error

# What people and browsers look at, and what speaks another language than JSON.
PAGES = (
    *("/", "/authorize", "/oauth2/authorize", "/end-session"),
    *("/static/", "/metrics", "/console", "/owner"),
)


BOUNDED = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _is_page(path: str) -> bool:
    return any(path == page or (page != "/" and path.startswith(page)) for page in PAGES)


def test_the_document_names_every_json_endpoint() -> None:
    served = {
        (route.method, route.path.replace(":path}", "}"))
        for route in (*api.ROUTES, *api.VERIFICATION, *oauth.ROUTES, *sign_in.ROUTES)
        if not _is_page(route.path)
    }
    assert served == {(operation.method, operation.path) for operation in OPERATIONS}


def test_the_document_is_served(world: World) -> None:
    answer = world.browser().get("/openapi.json")
    assert answer.json() == document(ISSUER)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.filterwarnings("ignore")
def test_nothing_breaks_the_server(tmp_path: Path) -> None:
    """Schemathesis calls every operation, with what fits the document and what does not."""
    url = f"sqlite:///{tmp_path}/auth-agent.db"
    app = create_app(ServerSettings(issuer=ISSUER, database=url, allowed_hosts=("testserver",)))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    called = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @BOUNDED
        def call(case: schemathesis.Case) -> None:
            called.add((case.method, case.path))
            case.call_and_validate(checks=[not_a_server_error])

        call()
    called.add(("GET", "/openapi.json"))  # where it began
    assert called == {(operation.method, operation.path) for operation in OPERATIONS}
    app.state.context.close()
