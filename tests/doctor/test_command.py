"""`auth-agent doctor`: each test breaks one thing of a real set-up, sees its cause and remedy."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack, contextmanager

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner

from auth_agent import Settings
from auth_agent.cli.program import app
from auth_agent.doctor import examine
from auth_agent.flow import drive
from auth_agent.flow.connections import clients, transport
from auth_agent.flow.exchange import HttpResponse
from auth_agent.protocol.jose.private_key import public_jwk
from auth_agent.server.registry.clients import add_client
from auth_agent.server.security import credentials
from auth_agent.server.storage.tables.metadata import metadata
from auth_agent.testing import FakeServer
from auth_agent.testing.provider import json_response
from tests.adapters.network import free_port, serve_asgi, serve_provider
from tests.adapters.stacks import build_starlette
from tests.services import redis_server, website_environ
from tests.tls import make_certificate
from tests.world import serve_auth_server


@pytest.fixture(scope="module")
def auth_server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials, "ROUNDS", 4)  # or hashing would be most of the tests' time
        with serve_auth_server(tmp_path_factory.mktemp("server")) as server:
            yield server


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("AUTH_AGENT"):
            monkeypatch.delenv(name)


@pytest.fixture
def serve():
    """Puts an ASGI application on a port until the test ends."""
    with ExitStack() as running:
        yield lambda *args, **options: running.enter_context(serve_asgi(*args, **options))


class Shop:
    """A website that is registered at the server; `environ` is its configuration."""

    def __init__(self, environ):
        self.environ = environ

    @property
    def port(self):
        return int(self.environ["AUTH_AGENT_BASE_URL"].rpartition(":")[2])

    def site(self, **changes):
        """Its application, which may be configured otherwise than the doctor is."""
        return build_starlette(Settings.from_env({**self.environ, **changes}))

    def run(self, *words, code, **changes):
        variables = {name: None for name in os.environ if name.startswith("AUTH_AGENT")}
        variables |= {**self.environ, **changes}
        result = CliRunner().invoke(app, ["doctor", *words], env=variables)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    def ask(self, *words, code, **changes):
        """Returns the findings by the name of their check."""
        return json.loads(self.run("--json", *words, code=code, **changes).stdout)

    def problem(self, *words, **changes):
        """Returns the only problem."""
        found = self.ask(*words, code=1, **changes)
        (wrong,) = (finding for finding in found if finding["level"] in ("failure", "warning"))
        assert wrong["level"] == "failure"
        return wrong

    def concern(self, *words, **changes):
        """Returns the only warning, which does not keep agents out."""
        found = self.ask(*words, code=0, **changes)
        (doubtful,) = (finding for finding in found if finding["level"] in ("failure", "warning"))
        return doubtful


@pytest.fixture
def shop(auth_server):
    return Shop(auth_server.register(f"http://127.0.0.1:{free_port()}"))


@pytest.fixture
def open_shop(shop, serve):
    """Does the same, with a website that runs."""
    serve(shop.site(), shop.port)
    return shop


def checks(found, level):
    return [finding["check"] for finding in found if finding["level"] == level]


def tells(finding, check, message, remedy):
    assert finding["check"] == check
    assert message in finding["message"]
    assert remedy in finding["remedy"]


class TestWell:
    def test_a_healthy_website(self, open_shop):
        found = open_shop.ask(code=0)
        assert checks(found, "ok") == [
            "settings.complete",
            *("server.answers", "server.clock", "server.keys"),
            *("client.known", "client.redirect_uri"),
            *("website.answers", "website.cookie", "website.workers"),
        ]
        assert checks(found, "note") == ["settings.local", "sessions.in_cookies"]

    def test_is_told_to_people(self, open_shop):
        told = open_shop.run(code=0).stdout
        assert "All is well." in told
        assert "✓ The website answers" in told
        assert "\x1b" not in told

    def test_a_problem_and_its_remedy_are_told_to_people(self, shop):
        told = shop.run(code=1, AUTH_AGENT_CLIENT_SECRET="cs_wrong").stdout
        assert "✗ The server knows the client" in told
        assert "→ Correct AUTH_AGENT_CLIENT_SECRET" in told
        assert "Something is wrong: 1 failure" in told

    def test_colours_can_be_switched_off(self, shop):
        assert "\x1b[32m" in shop.run(code=0, FORCE_COLOR="1").stdout
        assert "\x1b[32m" not in shop.run(code=0, FORCE_COLOR="1", NO_COLOR="1").stdout

    def test_nothing_is_left_behind(self, auth_server, open_shop):
        before = count_rows(auth_server.database)
        open_shop.ask(code=0)
        open_shop.ask(code=1, AUTH_AGENT_CLIENT_SECRET="cs_wrong", AUTH_AGENT_PREFIX="/other")
        refused = {**before, "audit": before["audit"] + 1}  # the wrong secret
        assert count_rows(auth_server.database) == refused

    def test_a_website_with_a_key(self, auth_server, shop):
        key = ec.generate_private_key(ec.SECP256R1())
        assert shop.ask(code=0, **with_key(auth_server, shop, registered=key, used=key))

    def test_a_public_client(self, auth_server, shop):
        made = register(auth_server, shop, public=True)
        environ = {"AUTH_AGENT_CLIENT_ID": made.client_id, "AUTH_AGENT_CLIENT_AUTH": "none"}
        assert "client.known" in checks(
            shop.ask(code=0, AUTH_AGENT_CLIENT_SECRET=None, **environ), "ok"
        )


def count_rows(database):
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def register(auth_server, shop, **client):
    callback = f"{shop.environ['AUTH_AGENT_BASE_URL']}/auth-agent/callback"
    scopes = shop.environ["AUTH_AGENT_SCOPE"].split()
    return add_client(
        auth_server.database, "Shop", [callback], scopes=scopes, **client, now=int(time.time())
    )


def with_key(auth_server, shop, *, registered, used):
    jwks = json.dumps({"keys": [public_jwk(registered, "ES256")]})
    pem = used.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    made = register(auth_server, shop, jwks=jwks)
    return {
        "AUTH_AGENT_CLIENT_ID": made.client_id,
        "AUTH_AGENT_CLIENT_SECRET": None,
        "AUTH_AGENT_CLIENT_KEY": pem,
    }


class TestSettings:
    def test_every_mistake_at_once(self, shop):
        found = shop.ask(
            code=1,
            AUTH_AGENT_SECRET="short",
            AUTH_AGENT_CLIENT_ID=None,
            AUTH_AGENT_BASE_URL="http://shop.example",
            AUTH_AGENT_PROTEKT="/private/*",
            AUTH_AGENT_SESSION_STORE="memcached://127.0.0.1",
        )
        told = [(f["message"], f["remedy"]) for f in found if f["level"] == "failure"]
        assert [message.partition(" ")[0] for message, _ in told] == [
            *("AUTH_AGENT_PROTEKT", "AUTH_AGENT_CLIENT_ID", "AUTH_AGENT_SECRET"),
            *("AUTH_AGENT_BASE_URL", "AUTH_AGENT_SESSION_STORE"),
        ]
        assert told[0] == (
            "AUTH_AGENT_PROTEKT is not a setting.", "Did you mean AUTH_AGENT_PROTECT?"
        )  # fmt: skip
        assert told[2][1].startswith("Make one with: python -c")
        assert checks(found, "note") == ["settings.not_asked"]

    def test_nothing_is_set(self):
        found = Shop({}).ask(code=1)
        assert checks(found, "failure") == ["settings.wrong"] * 5
        assert "does not start" in Shop({}).run(code=1).stdout

    def test_a_secret_of_few_characters(self, open_shop):
        concern = open_shop.concern(AUTH_AGENT_SECRET="change-me" + "e" * 40)
        tells(concern, "settings.secret_weak", "few characters", "secrets.token_urlsafe")

    def test_report_only(self, open_shop):
        concern = open_shop.concern(AUTH_AGENT_REPORT_ONLY="true")
        tells(
            concern, "settings.report_only", "would refuse are let in", "remove AUTH_AGENT_REPORT_"
        )

    def test_a_public_website_with_a_server_on_this_machine(self, auth_server):
        shop = Shop(auth_server.register("https://shop.invalid"))
        concern = shop.concern()
        tells(concern, "settings.issuer_local", auth_server.issuer, "that agents and websites use")

    def test_an_audience_of_its_own(self, auth_server, shop):
        made = register(auth_server, shop, resources=["https://api.shop.example"])
        found = shop.ask(
            code=0,
            AUTH_AGENT_AUDIENCE="https://api.shop.example",
            AUTH_AGENT_CLIENT_ID=made.client_id,
            AUTH_AGENT_CLIENT_SECRET=made.client_secret.reveal(),
        )
        assert "settings.audience" in checks(found, "note")


class TestServer:
    def test_nobody_is_there(self, open_shop):
        dead = f"http://127.0.0.1:{free_port()}"
        found = open_shop.ask(code=1, AUTH_AGENT_ISSUER=dead)
        unreachable = next(finding for finding in found if finding["check"].startswith("server."))
        tells(unreachable, "server.unreachable", f"{dead} cannot be reached: nothing listens there",
              "Is the server running")  # fmt: skip

    def test_a_proxy_that_is_gone(self, shop, monkeypatch):
        proxy = f"127.0.0.1:{free_port()}"
        monkeypatch.setenv("https_proxy", f"http://canary:canary@{proxy}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        problem = shop.problem(AUTH_AGENT_ISSUER="https://auth.example")
        tells(problem, "server.unreachable", "nothing listens there", f"the proxy {proxy} (HTTP_")
        assert "canary" not in problem["remedy"]

    @pytest.mark.parametrize("value", ["socks://127.0.0.1:1080", "http://u:canary#w@proxy.example"])
    def test_a_proxy_that_cannot_be_used(self, shop, monkeypatch, value):
        monkeypatch.setenv("ALL_PROXY", value)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        problem = shop.problem(AUTH_AGENT_ISSUER="https://auth.example")
        tells(problem, "server.unreachable", "ALL_PROXY cannot be used", "Correct that variable")
        assert "canary" not in str(problem)

    def test_certificates_that_cannot_be_read(self, shop, monkeypatch):
        clients.tls_context.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")
        problem = shop.problem(AUTH_AGENT_ISSUER="https://auth.example")
        tells(problem, "server.unreachable", "cannot be read (FileNotFound", "that variable")

    def test_a_slash_too_many(self, auth_server, shop):
        problem = shop.problem(AUTH_AGENT_ISSUER=f"{auth_server.issuer}/")
        tells(problem, "server.issuer_mismatch", "the slash at the end",
              f"AUTH_AGENT_ISSUER={auth_server.issuer};")  # fmt: skip

    def test_another_name(self, auth_server, shop):
        problem = shop.problem(
            AUTH_AGENT_ISSUER=auth_server.issuer.replace("127.0.0.1", "localhost")
        )
        tells(problem, "server.issuer_mismatch", f"calls itself {auth_server.issuer}",
              f"AUTH_AGENT_ISSUER={auth_server.issuer};")  # fmt: skip

    def test_a_website_instead_of_a_server(self, shop, serve):
        port = free_port()
        serve(Starlette(), port)
        problem = shop.problem(AUTH_AGENT_ISSUER=f"http://127.0.0.1:{port}")
        tells(problem, "server.no_metadata", "404 at both well-known", "calls its issuer")

    def test_a_certificate_that_nobody_trusts(self, shop, serve, tmp_path):
        problem = shop.problem(AUTH_AGENT_ISSUER=serve_tls(serve, Starlette(), tmp_path))
        tells(problem, "server.unreachable", "certificate is not trusted (self-signed certificate",
              "SSL_CERT_FILE")  # fmt: skip

    def test_a_server_without_tls_at_an_https_address(self, auth_server, shop):
        problem = shop.problem(AUTH_AGENT_ISSUER=auth_server.issuer.replace("http:", "https:"))
        tells(problem, "server.unreachable", "does not speak TLS", "AUTH_AGENT_ISSUER")

    def test_an_algorithm_that_is_not_allowed_here(self, shop):
        problem = shop.problem(AUTH_AGENT_ALGORITHMS="PS256,PS384")
        tells(problem, "server.algorithm_unsupported", "allows PS256, PS384, but the server signs "
              "with ES256", "set it to ES256")  # fmt: skip

    @pytest.mark.parametrize(
        ("seconds", "level", "words"),
        [
            (9, "ok", "agree"),
            (-9, "ok", "agree"),
            (30, "warning", "behind"),
            (-30, "warning", "ahead of"),
            (90, "failure", "behind"),
            (-90, "failure", "ahead of"),
        ],
    )
    def test_a_clock_that_is_wrong_here(self, shop, seconds, level, words):
        settings = Settings.from_env(shop.environ)
        found = drive.run(examine(settings, clock=lambda: time.time() + seconds))
        drive.close()
        (clock,) = (finding for finding in found if finding.check.startswith("server.clock"))
        assert clock.level == level
        assert words in clock.message
        assert level == "ok" or "NTP" in clock.remedy


@contextmanager
def misbehaving():
    port = free_port()
    provider = FakeServer(f"http://127.0.0.1:{port}")
    provider.answers["/authorize"] = HttpResponse(200, {"content-type": "text/html"}, b"<p>Sign in")
    with serve_provider(provider, port):
        yield provider


@pytest.fixture
def provider():
    with misbehaving() as provider:
        yield provider


@pytest.fixture
def guest(provider):
    """Registers a website at the server that misbehaves."""
    return Shop(website_environ(provider, f"http://127.0.0.1:{free_port()}"))


METADATA = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"
SENT_ON = HttpResponse(301, {"location": "https://auth.example/.well-known"}, b"")


def hang(handler):
    handler.connection.settimeout(5)
    handler.connection.recv(1)  # until the other side gives up


def hang_up(handler):
    handler.connection.close()


class TestMisbehavingServer:
    def test_one_that_behaves(self, guest):
        assert checks(guest.ask(code=0), "warning") == []

    def test_it_fails(self, guest, provider):
        provider.answers[METADATA] = provider.answers[OPENID] = HttpResponse(502, {}, b"")
        tells(guest.problem(), "server.broken", "answered 502", "the log of the server")

    def test_it_sends_us_elsewhere(self, guest, provider):
        provider.answers[METADATA] = provider.answers[OPENID] = SENT_ON
        tells(guest.problem(), "server.moved", "https://auth.example", "without a redirect")

    def test_an_endpoint_without_tls(self, guest, provider):
        provider.metadata["token_endpoint"] = "http://auth.example/token"
        problem = guest.problem()
        tells(problem, "server.metadata_invalid", "token_endpoint", "AUTH_AGENT_SERVER_ISSUER")

    @pytest.mark.parametrize("document", [{"keys": []}, {}, {"keys": [{"kty": "oct", "k": "AA"}]}])
    def test_no_usable_key(self, guest, provider, document):
        provider.answers[JWKS] = json_response(200, document)
        tells(guest.problem(), "server.keys_unusable", "publishes no key", "introspection")

    def test_keys_that_cannot_be_fetched(self, guest, provider):
        provider.answers[JWKS] = HttpResponse(503, {}, b"")
        tells(guest.problem(), "server.keys_unreachable", "answered 503", "jwks_uri")

    def test_it_signs_with_a_shared_secret(self, guest, provider):
        provider.metadata["id_token_signing_alg_values_supported"] = ["HS256"]
        problem = guest.problem()
        tells(problem, "server.algorithm_unsupported", "HS256, which a website", "ES256")

    def test_keys_that_contradict_the_metadata(self, guest, provider):
        provider.metadata["id_token_signing_alg_values_supported"] = ["RS256"]
        problem = guest.problem()
        tells(problem, "server.algorithm_unsupported", "no key for that", "contradict")

    def test_introspection_is_needed_and_not_there(self, guest, provider):
        provider.metadata["introspection_endpoint"] = None
        problem = guest.problem(AUTH_AGENT_IDENTITY="introspection")
        tells(problem, "server.no_introspection", "introspection endpoint", "AUTH_AGENT_IDENTITY")

    def test_a_way_to_authenticate_that_it_does_not_have(self, guest, provider):
        provider.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
        problem = guest.problem()
        tells(problem, "client.auth_unsupported", "supports only private_key_jwt", "CLIENT_KEY")

    def test_the_way_that_was_set_is_not_supported(self, guest, provider):
        provider.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
        problem = guest.problem(
            AUTH_AGENT_CLIENT_AUTH="client_secret_post", AUTH_AGENT_CLIENT_SECRET="cs_other"
        )
        tells(problem, "client.auth_unsupported", "is client_secret_post", "Remove AUTH_AGENT_CLI")

    def test_a_wrong_secret_is_shown_once(self, guest, provider):
        guest.problem(AUTH_AGENT_CLIENT_SECRET="cs_wrong")
        assert provider.count("/introspect") + provider.count("/token") == 1

    def test_without_introspection_the_token_endpoint_tells(self, guest, provider):
        provider.metadata["introspection_endpoint"] = None
        assert "client.known" in checks(guest.ask(code=0), "ok")
        problem = guest.problem(AUTH_AGENT_CLIENT_SECRET="cs_wrong")
        assert problem["check"] == "client.refused"
        assert provider.count("/introspect") == 0

    @pytest.mark.parametrize("answer", [HttpResponse(500, {}, b""), HttpResponse(403, {}, b"{}")])
    def test_introspection_that_tells_nothing(self, guest, provider, answer):
        provider.answers["/introspect"] = answer
        assert "client.known" in checks(guest.ask(code=0), "ok")

    def test_a_token_endpoint_that_cannot_be_reached(self, guest, provider):
        provider.answers["/introspect"] = provider.answers["/token"] = hang_up
        tells(guest.problem(), "client.token_endpoint", f"{provider.issuer}/token", "redeems")

    def test_an_answer_that_can_mean_anything(self, guest, provider):
        provider.answers["/introspect"] = provider.answers["/token"] = HttpResponse(429, {}, b"")
        assert "client.unclear" in checks(guest.ask(code=0), "note")

    def test_an_authorization_endpoint_that_cannot_be_reached(self, guest, provider):
        provider.answers["/authorize"] = hang_up
        tells(guest.concern(), "client.redirect_uri_unclear", "authorization endpoint", "reachable")

    def test_a_login_page_tells_nothing_of_the_redirect_uri(self, guest):
        found = guest.ask(code=0)
        assert "client.redirect_uri_unclear" in checks(found, "note")

    def test_it_hangs(self, guest, provider, monkeypatch):
        monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.5)
        provider.answers[METADATA] = hang
        started = time.monotonic()
        tells(guest.problem(), "server.unreachable", "no answer in time", "firewall")
        assert time.monotonic() - started < 5

    def test_what_it_writes_does_not_reach_the_terminal_raw(self, guest, provider):
        provider.metadata["token_endpoint_auth_methods_supported"] = ["\x1b]0;pwned\x07"]
        assert "\x1b" not in guest.run(code=1).stdout


class TestClient:
    def test_a_wrong_secret(self, shop):
        problem = shop.problem(AUTH_AGENT_CLIENT_SECRET="cs_wrong")
        tells(problem, "client.refused", "knows the client client_", "client rotate-secret ID")

    def test_an_unknown_client(self, shop):
        found = shop.ask(code=1, AUTH_AGENT_CLIENT_ID="client_unknown")
        assert checks(found, "failure") == ["client.refused", "client.redirect_uri"]
        for finding in found:
            if finding["level"] == "failure":
                assert "AUTH_AGENT_CLIENT_ID" in finding["remedy"]

    def test_a_wrong_key(self, auth_server, shop):
        one, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        problem = shop.problem(**with_key(auth_server, shop, registered=one, used=other))
        tells(problem, "client.refused", "not by the key that is set", "--jwks FILE")

    def test_a_client_that_is_not_public(self, shop):
        problem = shop.problem(AUTH_AGENT_CLIENT_AUTH="none", AUTH_AGENT_CLIENT_SECRET=None)
        tells(problem, "client.refused", "not as a public client", "--public")

    def test_a_redirect_uri_that_is_not_registered(self, shop):
        problem = shop.problem(AUTH_AGENT_PREFIX="/agents")
        uri = f"{shop.environ['AUTH_AGENT_BASE_URL']}/agents/callback"
        tells(
            problem,
            "client.redirect_uri",
            f"but not the redirect URI {uri}",
            "Register exactly this URI",
        )

    def test_a_scope_that_is_not_registered(self, open_shop):
        """Warns: the server grants less without an error, so only the first agent would notice."""
        asked = f"{open_shop.environ['AUTH_AGENT_SCOPE']} reports:read"
        found = open_shop.concern(AUTH_AGENT_SCOPE=asked)
        tells(found, "client.scope_narrowed", "leaves reports:read out", "client add")

    def test_an_audience_that_is_not_registered(self, shop):
        problem = shop.problem(AUTH_AGENT_AUDIENCE="https://api.shop.example")
        tells(problem, "client.audience", "https://api.shop.example", "--resource")


def serve_tls(serve, application, folder, *, days=1):
    """Serves it at https://localhost; returns that origin."""
    port = free_port()
    certificate, key = make_certificate(folder, days=days)
    files = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    serve(application, port, loop="asyncio", **files)
    return f"https://localhost:{port}"


class Later:
    """An application that is chosen once its address is known."""

    app = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await self.app(scope, receive, send)


class SecureShop(Shop):
    """A website behind a proxy with TLS, which this machine trusts; `before` is that proxy."""

    def __init__(self, auth_server, serve, folder, monkeypatch):
        self._later = Later()
        origin = serve_tls(serve, self._later, folder)
        super().__init__(auth_server.register(origin))
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
        self.before(lambda site: site)

    def before(self, proxy):
        self._later.app = proxy(self.site())


@pytest.fixture
def secure_shop(auth_server, serve, tmp_path, monkeypatch):
    clients.tls_context.cache_clear()
    yield SecureShop(auth_server, serve, tmp_path, monkeypatch)
    clients.tls_context.cache_clear()


def changing(name, change):
    """Starts a proxy that changes one header; `change` returns None to drop it."""

    def proxy(site):
        async def passed(scope, receive, send):
            async def send_changed(message):
                if message["type"] == "http.response.start":
                    headers = [
                        (key, change(value.decode()).encode() if key == name else value)
                        for key, value in message["headers"]
                    ]
                    message = {**message, "headers": [(k, v) for k, v in headers if v]}
                await send(message)

            await site(scope, receive, send_changed)

        return passed

    return proxy


class TestWebsite:
    def test_it_does_not_run(self, shop):
        found = shop.ask(code=0)
        (note,) = (finding for finding in found if finding["check"].startswith("website."))
        assert note["level"] == "note"
        tells(note, "website.not_running", "nothing listens there", "Start the website")

    def test_visitors_come_by_https_and_the_base_url_is_http(self, shop, serve, tmp_path):
        visited = serve_tls(serve, shop.site(), tmp_path)
        found = shop.ask("--site", visited, code=1)
        (wrong,) = (finding for finding in found if finding["level"] == "failure")
        tells(wrong, "website.base_url", "return over http", f"AUTH_AGENT_BASE_URL={visited} ")

    def test_visitors_use_another_name(self, open_shop):
        visited = f"http://localhost:{open_shop.port}"
        problem = open_shop.problem("--site", visited)
        tells(problem, "website.base_url", "cookies of one", f"{visited}/auth-agent/callback")

    def test_http_where_https_should_be(self, auth_server, serve):
        port = free_port()
        shop = Shop(auth_server.register(f"https://localhost:{port}"))
        serve(shop.site(), port)
        tells(shop.problem(), "website.no_tls", "speaks http, not https", "a proxy with TLS")

    def test_a_certificate_that_nobody_trusts(self, auth_server, serve, tmp_path):
        shop = Shop(auth_server.register(serve_tls(serve, Starlette(), tmp_path)))
        tells(shop.concern(), "website.certificate", "not trusted", "Renew the certificate")

    def test_the_middleware_is_missing(self, shop, serve):
        serve(Starlette(), shop.port)
        tells(shop.problem(), "website.no_middleware", "answers 404", "middleware installed")

    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (lambda: Response(b"x" * 300_000), "larger than 256 KiB"),
            (lambda: Response(b"", headers={"content-encoding": "gzip"}), "compressed"),
        ],
    )
    def test_an_answer_that_cannot_be_read(self, shop, serve, answer, says):
        async def home(request):
            return answer()

        serve(Starlette(routes=[Route("/{rest:path}", home)]), shop.port)
        tells(shop.problem(), "website.unreadable", says, "middleware installed")

    def test_something_before_it_redirects(self, shop, serve):
        async def wall(request):
            return RedirectResponse("/subscribe")

        serve(Starlette(routes=[Route("/{rest:path}", wall)]), shop.port)
        tells(shop.problem(), "website.no_middleware", "/subscribe", "forward everything below")

    def test_a_proxy_without_a_website(self, shop, serve):
        async def bad_gateway(request):
            return Response(status_code=502)

        serve(Starlette(routes=[Route("/{rest:path}", bad_gateway)]), shop.port)
        tells(shop.concern(), "website.gateway", "answers 502", "Start the website")

    def test_the_running_website_has_other_settings(self, shop, serve):
        serve(shop.site(AUTH_AGENT_CLIENT_ID="client_other"), shop.port)
        tells(shop.problem(), "website.other_settings", "client_other", "Restart the website")

    def test_the_running_website_cannot_reach_the_server(self, shop, serve):
        serve(shop.site(AUTH_AGENT_ISSUER=f"http://127.0.0.1:{free_port()}"), shop.port)
        tells(shop.problem(), "website.sign_in_fails", "server_unavailable", "another network")

    def test_the_name_leads_to_another(self, auth_server, serve):
        port = free_port()
        shop = Shop(auth_server.register(f"http://localhost:{port}"))
        serve(TrustedHostMiddleware(shop.site(), allowed_hosts=["www.localhost"]), port)
        there = f"http://www.localhost:{port}"
        tells(shop.problem(), "website.moved", there, f"AUTH_AGENT_BASE_URL={there},")

    def test_a_healthy_proxy(self, secure_shop):
        found = secure_shop.ask(code=0)
        assert [f["message"] for f in found if f["check"] == "website.cookie"] == [
            "The website's cookie arrives unchanged (__Host-, Secure)."
        ]

    def test_an_application_that_believes_to_be_on_http(self, secure_shop):
        def proxy(site):
            inner = HTTPSRedirectMiddleware(site)

            async def without_forwarded_proto(scope, receive, send):
                await inner({**scope, "scheme": "http"}, receive, send)

            return without_forwarded_proto

        secure_shop.before(proxy)
        problem = secure_shop.problem()
        tells(problem, "website.redirect_loop", "redirects to itself", "X-Forwarded-Proto")

    def test_a_cookie_that_does_not_arrive(self, secure_shop):
        secure_shop.before(changing(b"set-cookie", lambda value: ""))
        problem = secure_shop.problem()
        tells(problem, "website.cookie_missing", "login_cookie_missing", "forward Set-Cookie")

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda value: value.replace("; Secure", ""), "Secure is missing"),
            (lambda value: value.replace("; HttpOnly", ""), "HttpOnly is missing"),
            (lambda value: value.replace("__Host-", ""), "another name"),
            (lambda value: value.replace("Path=/", "Path=/shop"), "Path is not /"),
            (lambda value: f"{value}; Domain=localhost", "Domain is set"),
            (lambda value: value.replace("Lax", "Strict"), "SameSite is Strict"),
        ],
    )
    def test_a_cookie_that_is_changed(self, secure_shop, change, says):
        secure_shop.before(changing(b"set-cookie", change))
        problem = secure_shop.problem()
        tells(problem, "website.cookie_changed", says, "proxy_cookie_path")

    def test_a_cookie_of_the_proxys_own_beside_it(self, secure_shop):
        own = "route=a; Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/"
        secure_shop.before(changing(b"set-cookie", lambda value: f"{own}, {value}"))
        secure_shop.ask(code=0)

    def test_an_answer_that_may_be_cached(self, secure_shop):
        secure_shop.before(changing(b"cache-control", lambda value: "public, max-age=60"))
        concern = secure_shop.concern()
        tells(concern, "website.cacheable", "another", "cache nothing below")


@pytest.fixture(scope="module")
def store():
    with redis_server() as url:
        yield url


class TestSessions:
    def test_a_store_that_works(self, open_shop, store):
        found = open_shop.ask(code=0, AUTH_AGENT_SESSION_STORE=store)
        assert "sessions.store" in checks(found, "ok")

    def test_no_store_is_there(self, open_shop):
        url = f"redis://:canary-password@127.0.0.1:{free_port()}/0"
        problem = open_shop.problem(AUTH_AGENT_SESSION_STORE=url)
        tells(problem, "sessions.unavailable", "nothing listens there", "Start Redis")

    def test_a_store_that_wants_a_password(self, open_shop, store):
        with redis.Redis.from_url(store) as admin:
            admin.config_set("requirepass", "canary-password")
            try:
                problem = open_shop.problem(AUTH_AGENT_SESSION_STORE=store)
            finally:
                admin.config_set("requirepass", "")
        tells(problem, "sessions.unavailable", "it requires a password", "user and password")

    def test_a_store_that_takes_nothing(self, open_shop, store):
        """Finds a store that refuses writes although it answers PING."""
        with redis.Redis.from_url(store) as admin:
            admin.config_set("min-replicas-to-write", 1)
            try:
                problem = open_shop.problem(AUTH_AGENT_SESSION_STORE=store)
            finally:
                admin.config_set("min-replicas-to-write", 0)
        tells(problem, "sessions.unavailable", "Not enough good replicas", "AUTH_AGENT_SESSION_ST")


CANARIES = {
    "AUTH_AGENT_CLIENT_SECRET": "canary-client-secret: with+signs",
    "AUTH_AGENT_SECRET": "canary-site-secret-that-is-long-enough",
    "AUTH_AGENT_SESSION_STORE": "redis://canary-user:canary-password@127.0.0.1:1/0",
}


def repeat_all(provider):
    """Starts a server that repeats everything it receives, credentials included."""

    def answer(handler):
        said = " ".join([*handler.headers.values(), handler.path])
        body = json.dumps({"error": said, "canary-client-secret": said}).encode()
        head = f"HTTP/1.1 400 X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        handler.wfile.write(f"{head}\r\n\r\n".encode() + body)

    provider.answers["/introspect"] = provider.answers["/token"] = answer


@pytest.mark.parametrize("bend", [lambda provider: None, repeat_all])
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_no_secret_is_told(guest, provider, bend, words):
    provider.client_secret = CANARIES["AUTH_AGENT_CLIENT_SECRET"]
    bend(provider)
    for changes in ({}, {"AUTH_AGENT_CLIENT_ID": "client_wrong"}, {"AUTH_AGENT_SECRET": "canary"}):
        said = guest.run(*words, code=1, **{**CANARIES, **changes}).output
        assert "canary" not in said


@pytest.mark.parametrize("site", ["shop.example", "http://shop.example", "https://shop.example/x"])
def test_a_site_that_is_none(shop, site):
    assert "--site" in shop.run("--site", site, code=2).stderr


def test_the_help_names_the_exit_codes():
    told = " ".join(Shop({}).run("--help", code=0).stdout.split())
    assert "0 all is well (there may be notes and warnings), 1 something is wrong" in told
