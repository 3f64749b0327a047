"""Cause and remedy of every error code, as the page about them says it."""

from __future__ import annotations

from auth_agent.website.sign_in.transaction import LIFETIME

CLOCK = "set both clocks by NTP"
SERVER_LOG = "see the server's log"
OTHER_SERVER = (
    "the server misbehaves, or another program answers at its address: check "
    "`AUTH_AGENT_ISSUER`, then the server's log"
)
NEW_TOKEN = "get a new token"
WRONG_PROOF = "make the proof for exactly this request; every SDK session does"
WRONG_SIGNATURE = "sign exactly this request; `auth-agent sign` shows how it has to look"
TOO_LATE = "start again"

REMEDIES: dict[str, tuple[str, str]] = {
    # A sign-in
    "access_denied": (
        "the sign-in was cancelled, the agent's owner denied it, or the website does not "
        "admit this agent",
        "start again; the website's policy decides which agents it admits",
    ),
    "agent_ambiguous": (
        "several users of the website have the owner's verified address",
        "let the address belong to one user",
    ),
    "agent_blocked": (
        "the website has blocked this agent's account",
        "unblock it in the website's administration",
    ),
    "agent_refused": (
        "the website's policy does not admit this agent",
        "look at `AUTH_AGENT_ALLOW_MODELS`, `AUTH_AGENT_DENY_AGENTS` and the website's hook",
    ),
    "agent_too_large": (
        "the agent's data does not fit into a cookie",
        "keep sessions in Redis (`AUTH_AGENT_SESSION_STORE`), or give the agent fewer permissions",
    ),
    "another_agent": (
        "the agent that signed in is not the one that started",
        "start again, and sign in as the agent that started",
    ),
    "code_missing": ("the server's answer has no `code`", TOO_LATE),
    "duplicate_parameter": ("a parameter comes twice in the server's answer", TOO_LATE),
    "expired": (
        "the agent's owner was asked, and did not answer in time",
        "start again; the owner answers at `/owner` of the server",
    ),
    "invalid_grant": (
        "the code or refresh token has expired, was used or was revoked",
        "start again; if it happens always, compare the clocks of website and server",
    ),
    "issuer_mismatch": ("an answer or a token comes from another server", OTHER_SERVER),
    "issuer_missing": (
        "the server promises to name itself in its answer (RFC 9207) and does not",
        OTHER_SERVER,
    ),
    "login_cookie_missing": (
        "the browser sent no cookie of the website: it blocks or loses cookies",
        "allow cookies, then start again",
    ),
    "login_cookie_unreadable": (
        "the cookie was made with another secret",
        "set the same `AUTH_AGENT_SECRET` in every worker; `auth-agent doctor` checks it",
    ),
    "origin_required": (
        "a WebSocket was opened with a cookie and without `Origin`",
        "open it with `Origin:` and the website's own origin",
    ),
    "other_host": (
        "the sign-in ended at another host than that of `AUTH_AGENT_BASE_URL`",
        "use one host, e.g. only `localhost` or only `127.0.0.1`",
    ),
    "query_too_large": ("the server's answer is larger than a query may be", OTHER_SERVER),
    "session_ended": (
        "the website ended the agent's sessions while the agent signed in",
        "start again; if that fails, ask the website's operator",
    ),
    "sign_in_refused": ("the website's own hook refused the sign-in", "ask the website's operator"),
    "state_expired": (f"the sign-in took longer than {LIFETIME // 60} minutes", TOO_LATE),
    "state_missing": (
        "the server's answer has no `state`",
        "start again; if it happens again, look at the server or its proxy",
    ),
    "state_reused": (
        "the sign-in was completed before; its address works once",
        "start again unless you are signed in",
    ),
    "state_unknown": (
        "the browser did not start this sign-in, or has completed it already",
        "start again unless you are signed in",
    ),
    "ticket_expired": ("the link to a sign-in is too old", TOO_LATE),
    # A token
    "act_not_approved": (
        "the token does not say that the owner approved this act",
        "ask the owner again; another act needs another approval",
    ),
    "algorithm_refused": (
        "the token is signed with an algorithm that the website does not allow",
        "name it in `AUTH_AGENT_ALGORITHMS`, or let the server sign with another one",
    ),
    "at_hash_mismatch": ("ID token and access token do not belong together", OTHER_SERVER),
    "audience_mismatch": (
        "the token is for another website or API",
        "ask for a token with `resource` set to this API; the website's is `AUTH_AGENT_AUDIENCE`, else its base URL",
    ),
    "authentication_too_old": (
        "the agent authenticated longer ago than this page allows",
        "sign in again",
    ),
    "azp_mismatch": (
        "the ID token was issued to another client",
        "name further audiences in `AUTH_AGENT_TRUSTED_AUDIENCES` if you trust them",
    ),
    "body_not_a_form": ("a logout request came without a form", "send `logout_token` as a form"),
    "body_too_large": ("a logout's body is too large", "send `logout_token` alone"),
    "client_id_missing": ("the access token names no client (RFC 9068)", OTHER_SERVER),
    "events_missing": ("a logout token lacks its event", SERVER_LOG),
    "header_forbidden": (
        "the token's header names keys of its own (`jku`, `jwk`, `x5u`, ...) or asks for an extension",
        NEW_TOKEN,
    ),
    "iat_too_old": ("the token was issued too long ago", NEW_TOKEN),
    "invalid_request": (
        "the header `Authorization` cannot be read, or comes twice",
        "send one, of the form `Bearer <token>`",
    ),
    "invalid_token": ("the token is not accepted", NEW_TOKEN),
    "jti_missing": ("a logout token has no id", SERVER_LOG),
    "jti_replayed": (
        "this logout was processed already",
        ("nothing to do; each logout token works once"),
    ),
    "key_mismatch": (
        ("the token's algorithm and the server's key do not belong together"),
        SERVER_LOG,
    ),
    "key_unknown": (
        "the server publishes no key with this id",
        "get a new token; if it happens always, `auth-agent doctor` compares key set and tokens",
    ),
    "logout_token_missing": ("a logout request came without its token", "send `logout_token`"),
    "nonce_forbidden": ("an ID token was sent as a logout token", SERVER_LOG),
    "nonce_mismatch": ("the ID token belongs to another sign-in", TOO_LATE),
    "owner_not_asked": (
        "this page needs the owner's approval, and the token contains none",
        "sign in again as the answer says; the server then asks the owner",
    ),
    "sub_missing": ("the token names no agent", SERVER_LOG),
    "time_missing": ("the token lacks one of its times", SERVER_LOG),
    "token_bound": (
        "the token is bound to a key and was sent without a proof",
        "send it as `Authorization: DPoP` with a `DPoP` proof",
    ),
    "token_expired": ("the token has expired, or the clocks differ", f"{NEW_TOKEN}, and {CLOCK}"),
    "token_inactive": ("the token has ended or was revoked", NEW_TOKEN),
    "token_key_mismatch": (
        "the proof was made with another key than the token is bound to",
        "make the proof with the key that the token was requested with",
    ),
    "token_malformed": ("this is not a signed token (JWT)", NEW_TOKEN),
    "token_opaque": (
        "the token is opaque, and this API accepts only signed tokens (JWT)",
        "ask for a signed token, or give the API client credentials, so that it can ask the server",
    ),
    "token_too_deep": ("the token's claims are nested too deeply", SERVER_LOG),
    "token_too_large": ("the token is too large", SERVER_LOG),
    "token_unbound": (
        "the token is not bound to a key, and was sent as `DPoP` or to a website that "
        "requires bound tokens",
        "ask for the token with a proof, or send it as `Bearer`",
    ),
    "typ_mismatch": ("this is a token of another kind", "send an access token"),
    "userinfo_sub_mismatch": ("userinfo is about another agent than the ID token", OTHER_SERVER),
    # A proof
    "proof_algorithm": ("the proof is signed with an algorithm that is not allowed", WRONG_PROOF),
    "proof_jti": ("the proof has no id, or one that is too long", WRONG_PROOF),
    "proof_key": ("the proof contains no usable public key", WRONG_PROOF),
    "proof_malformed": ("the proof cannot be read", WRONG_PROOF),
    "proof_method": ("the proof is for another method", WRONG_PROOF),
    "proof_missing": ("there is no proof, or more than one", WRONG_PROOF),
    "proof_nonce": (
        ("the proof does not have the server's nonce"),
        "repeat with the one in `DPoP-Nonce`",
    ),
    "proof_repeated": ("the header `DPoP` comes more than once", WRONG_PROOF),
    "proof_signature": ("the proof's signature is wrong", WRONG_PROOF),
    "proof_target": (
        "the proof is for another URL",
        "make it for the public URL; a website's begins with `AUTH_AGENT_BASE_URL`",
    ),
    "proof_time": (
        ("the proof is too old, or was made in the future"),
        f"make a new one, and {CLOCK}",
    ),
    "proof_token": ("the proof is for another token", WRONG_PROOF),
    "proof_type": ("the proof is a token of another kind", WRONG_PROOF),
    "proof_used": ("the proof has been used", "make a new one for each request"),
    "proofs_full": ("too many proofs are remembered", "try again in a minute"),
    # A signed request
    "agent_malformed": ("`Signature-Agent` names no https address", WRONG_SIGNATURE),
    "agent_not_listed": (
        "the website does not list this signature agent",
        "name it in `AUTH_AGENT_SIGNATURES`",
    ),
    "alg_mismatch": ("the signature names another algorithm than its key", WRONG_SIGNATURE),
    "coverage_missing": ("the signature leaves out what it has to cover", WRONG_SIGNATURE),
    "created_in_future": ("the signature was made in the future", CLOCK),
    "expires_too_late": ("the signature is valid for longer than 24 hours", WRONG_SIGNATURE),
    "key_published": ("the key is an example of a specification", "sign with a key of your own"),
    "nonce_missing": ("a request that changes something has no `nonce`", WRONG_SIGNATURE),
    "nonce_used": ("the request has been sent before", "sign each request separately"),
    "nonces_full": ("too many signed requests are remembered", "try again in a minute"),
    "signature_expired": ("the signature has expired", f"sign again, and {CLOCK}"),
    "signature_incomplete": ("the signature lacks a parameter or a field", WRONG_SIGNATURE),
    "signature_invalid": (
        "a signature, of a token or a request, does not fit its content",
        "get a new token, or sign exactly what is sent; a proxy must not change it",
    ),
    "signature_malformed": ("the signature's fields cannot be read", WRONG_SIGNATURE),
    "signature_too_old": (
        "a request that changes something is older than a minute",
        f"sign again, and {CLOCK}",
    ),
    "signature_wrong": (
        "the signature does not fit the request",
        "sign the public URL; a website's begins with `AUTH_AGENT_BASE_URL`",
    ),
    "tag_missing": ("the signature is for another purpose", "sign with the tag `web-bot-auth`"),
    # The server is away
    "directories_busy": (
        "too many key directories are being fetched",
        "try again in a few seconds",
    ),
    "directory_unavailable": (
        "the signature agent's key directory cannot be fetched",
        "publish it on https, without a redirect",
    ),
    "directory_unusable": (
        "the signature agent's key directory contains no usable key set",
        "publish a JSON Web Key Set",
    ),
    "dns_failed": (
        "a host name is not known",
        ("correct the address, or the machine's DNS settings"),
    ),
    "proxy_failed": (
        "the proxy of the environment cannot be used",
        "correct the variable that the message names",
    ),
    "server_unavailable": (
        "the server does not answer, or fails",
        "try again in a few seconds; `auth-agent doctor` says why",
    ),
    "store_unavailable": (
        "the session store does not answer in time",
        "try again; this signs no agent out. `auth-agent doctor` says why",
    ),
    "store_unsupported": (
        "the session store is a Redis cluster",
        "set `AUTH_AGENT_SESSION_STORE` to a Redis that is not a cluster",
    ),
    "tls_failed": (
        "a certificate is not trusted, or the certificates cannot be read",
        "renew it with its whole chain; for an authority of your own set `SSL_CERT_FILE`",
    ),
    "too_many_questions": (
        "too many requests to the server are in progress",
        "try again in a few seconds",
    ),
    # The server is wrong
    "answer_compressed": (
        "an answer is compressed although that was not asked for",
        "switch compression off for the server's endpoints at its proxy",
    ),
    "answer_malformed": ("an answer lacks a field, or has one of the wrong form", SERVER_LOG),
    "answer_too_deep": ("an answer is nested too deeply", OTHER_SERVER),
    "answer_too_large": ("an answer is larger than 256 KiB", OTHER_SERVER),
    "client_auth_unsupported": (
        "website and server share no client authentication method",
        "set `AUTH_AGENT_CLIENT_SECRET`, `AUTH_AGENT_CLIENT_KEY` or `AUTH_AGENT_CLIENT_AUTH` as the server supports it",
    ),
    "invalid_client": (
        "unknown client ID, or the client's secret or key is wrong",
        "check `AUTH_AGENT_CLIENT_ID`, `AUTH_AGENT_CLIENT_SECRET` and `AUTH_AGENT_CLIENT_AUTH`",
    ),
    "jwks_empty": ("the server publishes no usable key", "`auth-agent keys list` at the server"),
    "key_missing": ("`private_key_jwt` without a key", "set `AUTH_AGENT_CLIENT_KEY`"),
    "metadata_invalid": ("the server's metadata is wrong", OTHER_SERVER),
    "metadata_missing": (
        "there is no server at `AUTH_AGENT_ISSUER`, or at the agent's `--issuer`",
        "correct the address; `auth-agent serve` prints it when it starts",
    ),
    "push_invalid": ("the answer to a pushed request is wrong", SERVER_LOG),
    "push_refused": ("the server refused the request that the website pushed", SERVER_LOG),
    "push_unsupported": (
        "the sign-in needs a pushed request (RFC 9126), which the server does not support",
        "use a server that supports it, or do not require the approval of acts",
    ),
    "request_unclear": ("the server does not say which website asks", "update the server"),
    "server_misbehaved": ("the server's answer violates the protocol", OTHER_SERVER),
    "token_refused": ("the server refused to issue tokens", SERVER_LOG),
    "token_response_invalid": ("the server's token answer is malformed", SERVER_LOG),
    "token_type_unsupported": ("the server issued a token of another type", SERVER_LOG),
    "unexpected_page": (
        "a page came where JSON was expected: a proxy, a portal, or another program",
        OTHER_SERVER,
    ),
    "userinfo_refused": ("the server gives no userinfo for this token", SERVER_LOG),
    # The agent's side
    "auth_error": ("something failed that has no code of its own", "read the description"),
    "browser_failed": (
        "the browser could not be driven",
        "check that the browser is open, and that its DevTools address is right",
    ),
    "clock_wrong": ("the agent's clock differs from the server's", CLOCK),
    "details_invalid": (
        "the act that the owner is asked about has a wrong form",
        "give an object with `type` and `title`",
    ),
    "owner_denied": (
        "the owner did not approve this",
        "do not do it; ask again only if the owner wants it",
    ),
    "owner_needed": ("the owner has to approve this first", "call `ask_owner`, then repeat it"),
    "nothing_to_ask": (
        "the website has named no act that the owner has to approve",
        "call `fetch` first, and ask when it says so",
    ),
    "owner_silent": ("the owner did not answer in time; nothing was approved", "ask again later"),
    "owner_unavailable": (
        "the owner has not confirmed this agent yet, or cannot be reached",
        "the owner confirms it on the server's pages (`/owner`)",
    ),
    "forbidden": ("the server does not allow the agent to do this", "ask its administrator"),
    "insecure_url": ("the URL is not on https", "use https; http works on loopback only"),
    "invalid_code": ("the mailed code is wrong", "type the code of the last mail"),
    "invalid_credentials": (
        "unknown agent id, or its secret or key is wrong or was replaced",
        "compare both with the console; `auth-agent agent rotate-secret ID` makes a new secret",
    ),
    "issuer_not_allowed": (
        "the website uses another server than the agent",
        "add it to `allowed_issuers` if you trust it with the agent's credentials",
    ),
    "model_missing": ("no model is known for the agent", "pass `--model`, or give the agent one"),
    "no_refresh_token": ("the session has no refresh token", "sign in again"),
    "not_a_sign_in": (
        "the page neither asks for a sign-in nor leads to one",
        "open the page that needs an agent; `follow_form=True` sends the form of its button",
    ),
    "not_protected": ("the API asked for no token", "call it without one"),
    "not_signed_in": (
        "the agent is not signed in at this website",
        "call `sign_in_with_auth_agent`",
    ),
    "pkce_missing": (
        "this process has not started a sign-in",
        "call `get_authorization_url` first, or give the `code_verifier`",
    ),
    "rate_limited": ("too many requests", "wait as long as `Retry-After` says"),
    "request_expired": ("the sign-in has expired, or has been answered", TOO_LATE),
    "request_invalid": (
        "a tool was called with a wrong method or form",
        "correct the method or the form",
    ),
    "resource_not_allowed": (
        "the sign-in is for an API that the agent is not allowed to use",
        "add it to `allowed_resources`",
    ),
    "scope_not_allowed": (
        "the website asks for a scope that the agent is not allowed to grant",
        "add it to `AUTH_AGENT_AGENT_SCOPES`, or ask for less",
    ),
    "sign_in_failed": (
        ("the website or the server did not complete the sign-in"),
        ("read the description, which quotes the answer"),
    ),
    "state_mismatch": ("the answer belongs to another sign-in", TOO_LATE),
    "timeout": ("it took too long", "try again"),
    "too_many_redirects": ("the website redirects in a circle", "look at the website"),
    "two_factor_required": (
        "the owner has to give the code that was mailed",
        "pass it to `verify_2fa`, or `--code`",
    ),
    "website_mismatch": (
        "the request comes from another website than the one that the agent opened",
        "do not continue: the page can be an attack",
    ),
    "website_not_allowed": (
        "the agent is not allowed to sign in at this website",
        "add it to `AUTH_AGENT_AGENT_WEBSITES`",
    ),
    # A website's answers
    "cross_site_request": (
        "a page of another website sent this request with the agent's cookie",
        "send it from the website's own pages, or with a token",
    ),
    "insufficient_authorization": (
        "the agent's owner has not approved this act",
        "ask the owner: open `approval_url`, or `sdk.ask_owner(...)`",
    ),
    "invalid_signature": (
        "the signature of a request (Web Bot Auth) is not accepted; `cause` says why",
        "see the code in `cause`",
    ),
    "login_required": (
        "this place needs a signed-in agent, and nobody is signed in",
        "open `login_url`, or `auth-agent login URL`; if you were signed in before, the session has "
        "ended or the cookies were not sent",
    ),
    "method_not_allowed": (
        "this address takes another method",
        "the header `Allow` names those that it takes; sign out with POST",
    ),
    "not_a_navigation": (
        "a script, an image or a prefetch has opened the sign-in URL",
        "open it as a page: link to it instead of calling `fetch`",
    ),
    "not_implemented": (
        "back-channel logout needs sessions that the website can end",
        "set `AUTH_AGENT_SESSION_STORE=redis://...`",
    ),
    "token_required": (
        "this API needs an access token, and the request has none",
        "get one for `resource` from `issuer` and send it as `Authorization: Bearer`; "
        "`sdk.session(url)` does both",
    ),
    "insufficient_scope": (
        "the agent does not have a scope that this page needs",
        "ask for it: `AUTH_AGENT_SCOPE` of the website, `client add --scope`, and the agent's own scopes",
    ),
    "insufficient_user_authentication": (
        "this page needs a newer sign-in, or the owner's approval",
        "sign in again as the answer says (RFC 9470)",
    ),
    "invalid_settings": (
        "settings are missing or wrong",
        "the message lists every one with its remedy",
    ),
}
