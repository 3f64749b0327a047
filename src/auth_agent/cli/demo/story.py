"""The chapters of the demo, narrated as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth_agent.cli.demo.approval import ask_the_owner
from auth_agent.cli.demo.calls import call_tools
from auth_agent.cli.demo.narrator import Narrator
from auth_agent.cli.demo.stage import MODEL, OWNER, SHOP, Stage, new_client
from auth_agent.cli.demo.watch import Exchange
from auth_agent.sdk import AgentSDK, SignedIn

if TYPE_CHECKING:
    import httpx2

_HIDDEN = ("AUTH_AGENT_SECRET", "AUTH_AGENT_CLIENT_SECRET")
_MEANING = {
    "/.well-known/oauth-authorization-server": "where the endpoints are; the issuer must match",
    "/token": "exchanges the code for tokens: the server checks PKCE verifier and client secret",
    "/.well-known/jwks.json": "the public key, to verify the ID token's signature",
    "/userinfo": "what the ID token does not contain",
    "/revoke": "revokes the agent's refresh token",
}


def narrate(stage: Stage, narrator: Narrator, *, person: bool) -> None:
    """Narrates every step, once; with a `person` there, waits for their answer as the owner."""
    _introduce(stage, narrator)
    with new_client(stage.website) as stranger:
        _refuse_stranger(stage, stranger, narrator)
    stage.watch.take()
    with new_client(stage.website) as client:
        sdk = AgentSDK(
            agent_id=stage.agent.agent_id,
            agent_secret=stage.agent.agent_secret,
            server_url=stage.server,
            model=MODEL,
            http_client=client,
        )
        site = _sign_in(stage, sdk, narrator)
        _show_exchanges(stage, site, narrator)
        _look_who_is_here(stage, site, narrator)
        _come_again(stage, client, narrator)
        ask_the_owner(stage, sdk, client, narrator, person=person)
        _sign_out(stage, client, narrator)
        call_tools(stage, sdk, narrator)


def _introduce(stage: Stage, narrator: Narrator) -> None:
    narrator.chapter("An Auth Agent server, a website and an agent")
    narrator.value("server", f"{stage.server}   (SQLite in a temporary folder)")
    narrator.value("website", f"{stage.website}   ({SHOP})")
    narrator.value("agent", f"{stage.agent.agent_id}   (owner {OWNER}, model {MODEL})")
    narrator.say("The website is one middleware line and this environment:")
    for name, value in stage.environment.items():
        narrator.value(name, "**********" if name in _HIDDEN else value)


def _refuse_stranger(stage: Stage, stranger: httpx2.Client, narrator: Narrator) -> None:
    narrator.chapter("A stranger asks for pages that need an agent")
    answer = stranger.get("/me")
    narrator.exchange("GET", f"{stage.website}/me", answer.status_code)
    narrator.check("refused: no agent is signed in", holds=answer.status_code == 401)
    offer = answer.json()
    door = str(offer.get("login_url", "")).startswith(f"{stage.website}/auth-agent/login")
    narrator.check("the answer has the sign-in URL, on the website itself (login_url)", holds=door)
    narrator.check("and the server (issuer)", holds=offer.get("issuer") == stage.server)
    answer = stranger.get("/members/prices")
    narrator.exchange("GET", f"{stage.website}/members/prices", answer.status_code)
    claim = "refused without a line of code: AUTH_AGENT_PROTECT=/members/*"
    narrator.check(claim, holds=answer.status_code == 401)


def _sign_in(stage: Stage, sdk: AgentSDK, narrator: Narrator) -> SignedIn:
    narrator.chapter("The agent signs in to the website")
    site = sdk.sign_in(f"{stage.website}/me", on_step=narrator.step)
    proofs = [step.url for step in site.steps if step.action == "agent_proved"]
    claim = "the secret was sent once, to the server itself; the website never saw it"
    narrator.check(claim, holds=proofs == [f"{stage.server}/api/agent/authenticate"])
    return site


def _show_exchanges(stage: Stage, site: SignedIn, narrator: Narrator) -> None:
    narrator.chapter("Meanwhile, the website asked the server")
    own = {step.url for step in site.steps}
    seen = [exchange for exchange in stage.watch.take() if exchange.path in _MEANING]
    for method, path, status in seen:
        url = f"{stage.server}{path}"
        if url in own:  # asked by both, shown before
            own.remove(url)
            continue
        narrator.exchange(method, url, status, _MEANING[path])
    redeemed = [exchange.status for exchange in seen if exchange.path == "/token"]
    narrator.check("one code was redeemed, once", holds=redeemed == [200])


def _look_who_is_here(stage: Stage, site: SignedIn, narrator: Narrator) -> None:
    narrator.chapter("Who the website sees now")
    seen = site.response.json()
    for name, value in seen.items():
        narrator.value(name, " ".join(value) if isinstance(value, list) else str(value))
    same = seen.get("agent_id") == stage.agent.agent_id
    narrator.check("it is the agent that signed in", holds=same)
    narrator.check("running the model that it named", holds=seen.get("model") == MODEL)
    narrator.check("for the owner of a verified address", holds=seen.get("email") == OWNER)


def _come_again(stage: Stage, client: httpx2.Client, narrator: Narrator) -> None:
    narrator.chapter("The agent comes again")
    answer = client.get("/members/prices")
    narrator.exchange("GET", f"{stage.website}/members/prices", answer.status_code)
    narrator.check("let in by its session cookie", holds=answer.status_code == 200)
    narrator.check("and the server was not asked", holds=not stage.watch.take())


def _sign_out(stage: Stage, client: httpx2.Client, narrator: Narrator) -> None:
    narrator.chapter("The agent signs out")
    answer = client.post("/auth-agent/logout")
    narrator.exchange("POST", f"{stage.website}/auth-agent/logout", answer.status_code)
    asked = stage.watch.take()
    for method, path, status in asked:
        narrator.exchange(method, f"{stage.server}{path}", status, _MEANING.get(path, ""))
    revoked = Exchange("POST", "/revoke", 200) in asked
    narrator.check("the website revoked the refresh token", holds=revoked)
    answer = client.get("/me")
    narrator.exchange("GET", f"{stage.website}/me", answer.status_code)
    narrator.check("and the session is over", holds=answer.status_code == 401)
