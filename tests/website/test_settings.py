"""The environment: every mistake at once, each with its remedy."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth_agent import RelyingParty, Settings, SettingsError

GOOD = {
    "AUTH_AGENT_ISSUER": "https://auth.example",
    "AUTH_AGENT_CLIENT_ID": "client_shop",
    "AUTH_AGENT_CLIENT_SECRET": "cs_secret",
    "AUTH_AGENT_SECRET": "s" * 32,
    "AUTH_AGENT_BASE_URL": "https://shop.example",
}


def test_five_variables_are_enough():
    settings = Settings.from_env(GOOD)
    assert settings.redirect_uri == "https://shop.example/auth-agent/callback"
    assert (settings.session_lifetime, settings.session_idle) == (28_800, 3_600)


def test_an_empty_variable_is_as_if_it_were_not_there():
    empty = {"AUTH_AGENT_AUDIENCE": "", "AUTH_AGENT_PROTECT": "  ", "AUTH_AGENT_SESSION_IDLE": ""}
    assert Settings.from_env({**GOOD, **empty}) == Settings.from_env(GOOD)


def test_an_empty_environment_names_them_all():
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({})
    for variable in GOOD:
        assert sum(p.startswith(f"{variable} is missing") for p in caught.value.problems) == 1
    told = "\n".join(caught.value.problems)
    for remedy in ("auth-agent client add", "secrets.token_urlsafe", "e.g. https://"):
        assert remedy in told


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("ISSUER", "http://auth.example", "https"),
        ("ISSUER", "https://auth.example?x=1", "query"),
        ("BASE_URL", "http://shop.example", "https"),
        ("BASE_URL", "https://shop.example/app", "only the origin"),
        ("BASE_URL", "shop.example", "not an https URL"),
        ("SECRET", "short", "32 characters"),
        ("SECRET", "s" * 32 + ",short", "32 characters"),
        ("SCOPE", "profile", "openid"),
        ("SCOPE", 'openid "x"', "cannot have"),
        ("PROTECT", "private/*", "begin with a slash"),
        ("PREFIX", "auth", "path such as"),
        ("PREFIX", "/", "path such as"),
        ("PREFIX", "/auth/", "path such as"),
        ("PREFIX", "/../auth", "path such as"),
        ("AUDIENCE", "http://api.example", "https"),
        ("CLIENT_AUTH", "basic", "client_secret_basic"),
        ("ALGORITHMS", "none", "ES256"),
        ("ALGORITHMS", "ES256,HS256", "HS256"),
        ("USERINFO", "sometimes", "auto"),
        ("SESSION_LIFETIME", "8h", "whole number"),
        ("SESSION_LIFETIME", "5", "60 seconds"),
        ("SESSION_IDLE", "99999999", "at most AUTH_AGENT_SESSION_LIFETIME"),
        ("IDENTITY", "userinfo", "introspection"),
        ("BEARER_RECHECK", "-1", "never"),
        ("REPORT_ONLY", "maybe", "true or false"),
        ("SESSION_STORE", "memcached://x", "redis://"),
        ("SESSION_STORE", "redis://localhost:port/0", "not a URL of Redis"),
        ("SESSION_STORE", "redis:///0", "not a URL of Redis"),
        ("SESSION_STORE", "rediss://h?health_check_interval=x", "not a URL of Redis"),
        ("PROTCT", "/x", "did you mean AUTH_AGENT_PROTECT"),
        ("SECRETS", "x", "did you mean AUTH_AGENT_SECRET"),
        ("COLOUR", "x", "is not a setting"),
    ],
)
def test_each_mistake_is_named_with_its_remedy(variable, value, hint):
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({**GOOD, f"AUTH_AGENT_{variable}": value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"AUTH_AGENT_{variable} ")
    assert hint in problem


def test_many_mistakes_are_reported_at_once():
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"AUTH_AGENT_ISSUER": "http://x.example", "AUTH_AGENT_PROTCT": "/x",
                           "AUTH_AGENT_SESSION_IDLE": "soon"})  # fmt: skip
    assert len(caught.value.problems) == 7
    assert str(caught.value).count("\n- ") == 7


def test_wrong_settings_stop_the_site_at_start(monkeypatch):
    monkeypatch.delenv("AUTH_AGENT_ISSUER", raising=False)
    with pytest.raises(SettingsError, match="AUTH_AGENT_ISSUER is missing"):
        RelyingParty()


def test_other_parts_of_the_family_have_variables_of_their_own():
    others = {"AUTH_AGENT_SERVER_ISSUER": "x", "AUTH_AGENT_AGENT_SECRET": "x", "PATH": "/bin"}
    assert Settings.from_env({**GOOD, **others}).issuer == "https://auth.example"


def test_a_public_client_needs_no_secret():
    environ = {**GOOD, "AUTH_AGENT_CLIENT_AUTH": "none"}
    del environ["AUTH_AGENT_CLIENT_SECRET"]
    assert Settings.from_env(environ).client_secret is None


def test_values_and_variables_read_alike():
    environ = {
        **GOOD,
        "AUTH_AGENT_PROTECT": "/a/*, /b",
        "AUTH_AGENT_SECRET": f"{'a' * 32},{'b' * 32}",
    }
    from_env = Settings.from_env(environ)
    given = Settings(
        issuer="https://auth.example", client_id="client_shop", client_secret="cs_secret",
        secret=["a" * 32, "b" * 32], base_url="https://shop.example/", protect=["/a/*", "/b"],
    )  # fmt: skip
    assert given == from_env
    assert Settings.from_env(environ, prefix="/agents").prefix == "/agents"


@pytest.mark.parametrize("value", [7, object()])
def test_a_value_of_the_wrong_type_is_named(value):
    with pytest.raises(SettingsError, match="AUTH_AGENT_CLIENT_SECRET must be text"):
        Settings.from_env(GOOD, client_secret=value)


def test_settings_cannot_be_changed_and_do_not_show_secrets():
    settings = Settings.from_env(GOOD)
    with pytest.raises(AttributeError):
        settings.issuer = "https://evil.example"
    assert "cs_secret" not in repr(settings)
    assert "s" * 32 not in repr(settings)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_secret_that_has_to_be_sent_has_to_be_there(method, key_file):
    settings = {**GOOD, "AUTH_AGENT_CLIENT_AUTH": method, "AUTH_AGENT_CLIENT_KEY": str(key_file)}
    assert Settings.from_env(settings).client_auth == method
    del settings["AUTH_AGENT_CLIENT_SECRET"]
    with pytest.raises(SettingsError, match="AUTH_AGENT_CLIENT_SECRET is missing"):
        Settings.from_env(settings)


@pytest.fixture
def key_file(tmp_path):
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    path.chmod(0o600)
    return path


API = {"AUTH_AGENT_SIGN_IN": "false", **{name: GOOD[name] for name in
       ("AUTH_AGENT_ISSUER", "AUTH_AGENT_BASE_URL")}}  # fmt: skip


def test_two_variables_and_a_switch_are_enough_for_an_api():
    settings = Settings.from_env(API)
    assert (settings.sign_in, settings.has_client, settings.secret) == (False, False, ())
    assert Settings.from_env({**API, "AUTH_AGENT_API_SCOPES": "a b,c"}).api_scopes == (
        "a",
        "b",
        "c",
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"AUTH_AGENT_CLIENT_SECRET": "cs_secret"}, "AUTH_AGENT_CLIENT_ID is missing"),
        ({"AUTH_AGENT_CLIENT_ID": "client_api"}, "AUTH_AGENT_CLIENT_SECRET is missing"),
        ({"AUTH_AGENT_ISSUER": ""}, "AUTH_AGENT_ISSUER is missing"),
        ({"AUTH_AGENT_BASE_URL": ""}, "AUTH_AGENT_BASE_URL is missing"),
        ({"AUTH_AGENT_IDENTITY": "introspection"}, "AUTH_AGENT_SIGN_IN is false: "),
        ({"AUTH_AGENT_SECRET": "short"}, "AUTH_AGENT_SECRET contains a secret of fewer"),
        ({"AUTH_AGENT_API_SCOPES": "openid a"}, "AUTH_AGENT_API_SCOPES must not contain openid"),
        ({"AUTH_AGENT_API_SCOPES": 'a "'}, "AUTH_AGENT_API_SCOPES contains a character"),
    ],
)
def test_an_api_that_lacks_something_is_told(changes, problem):
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({**API, **changes})
    (found,) = caught.value.problems
    assert found.startswith(problem)
