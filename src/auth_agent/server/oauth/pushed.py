"""The endpoint of pushed authorization requests (RFC 9126)."""

from __future__ import annotations

import functools

from auth_agent.server.oauth.clients.authentication import METHODS, PUSHED, need_client
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.security.dpop import BadProof
from auth_agent.server.sign_in.authorization.pushed import LIFETIME, push
from auth_agent.server.sign_in.authorization.request import check_request, validated_client
from auth_agent.server.sign_in.parties import known_resources
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Answer, Call, Headers, Refusal, json_answer
from auth_agent.server.web.parameters import Parameters, from_body

_NO_STORE: Headers = (("cache-control", "no-cache, no-store"), ("pragma", "no-cache"))


def push_request(oauth: OAuthServer, call: Call) -> Answer:
    """POST /par: checks an authorization request now, and keeps it for a minute.

    Every mistake is an error in JSON, never a redirect (section 2.3).
    """
    context = oauth.context
    parameters = from_body(call.content_type, call.body).refuse_duplicates()
    client = need_client(oauth, call, parameters, kind=PUSHED, methods=METHODS)
    if "request_uri" in parameters:
        raise Refusal(400, "invalid_request", "A pushed request must not contain request_uri")
    # Basic credentials or an assertion name the client, too.
    parameters.setdefault("client_id", client.id)
    if parameters["client_id"] != client.id:
        raise Refusal(400, "invalid_request", "client_id belongs to another client")
    _add_proved_key(oauth, call, parameters)
    _, redirect_uri = validated_client(lambda _id: client, parameters)
    known = functools.partial(known_resources, context)
    types = context.settings.authorization_details_types
    check_request(
        client,
        redirect_uri,
        parameters,
        context.settings.issuer,
        known,
        details_types=types,
    )
    found = {
        "request_uri": push(context, client.id, parameters, call.party),
        "expires_in": LIFETIME,
    }
    return json_answer(found, 201, (*_NO_STORE, *context.proofs.nonce_header()))


def _add_proved_key(oauth: OAuthServer, call: Call, parameters: Parameters) -> None:
    """Binds the code to the key of a proof, as `dpop_jkt` does (RFC 9449 section 10.1)."""
    text, proofs = call.headers.get("dpop"), oauth.context.proofs
    if text is None:
        return
    try:
        proof = proofs.check(text, call.method, call.path)
        if parameters.setdefault("dpop_jkt", proof.jkt) != proof.jkt:
            raise BadProof("dpop_jkt is not the key of the proof")  # noqa: TRY301
        or_wait()  # to write
        with oauth.context.database.begin() as connection:
            proofs.use(connection, proof)
    except BadProof as bad:
        headers = proofs.nonce_header()
        raise Refusal(400, bad.error, bad.description, headers) from None
