"""Pushed authorization requests (RFC 9126): the server keeps the request, the URL only names it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from auth_agent.errors import ServerMisbehaved, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse, is_trouble, json_object
from auth_agent.protocol.client_auth import Credentials, client_request

_URI = re.compile(r"[\x21-\x7e]{1,512}")
_ERROR_CODE = re.compile(r"[a-z_]{1,64}")


def push_request(parameters: Mapping[str, str], credentials: Credentials) -> HttpRequest:
    """Returns the request of section 2.1; raises `ServerMisbehaved` without an endpoint."""
    endpoint = credentials.metadata.pushed_authorization_request_endpoint
    if endpoint is None:
        raise ServerMisbehaved(
            "The server's metadata names no pushed_authorization_request_endpoint (RFC 9126). A "
            "sign-in that asks for the approval of an act needs it: an amount must not be in a "
            "URL.",
            code="push_unsupported",
        )
    return client_request(endpoint, parameters, credentials)


def parse_pushed(response: HttpResponse) -> str:
    """Returns the `request_uri`; raises `ServerUnavailable` or `ServerMisbehaved`."""
    if is_trouble(response):
        raise ServerUnavailable(
            "The Auth Agent server cannot take the request at the moment; try again in a few "
            "seconds."
        )
    document = json_object(response, "answer to a pushed request")
    if response.status not in (200, 201):
        error = document.get("error")
        code = error if isinstance(error, str) and _ERROR_CODE.fullmatch(error) else "unknown_error"
        raise ServerMisbehaved(
            f"The Auth Agent server refused the pushed request ({code}).", code="push_refused"
        )
    uri = document.get("request_uri")
    if not isinstance(uri, str) or not _URI.fullmatch(uri):
        raise ServerMisbehaved("The server's answer contains no request_uri.", code="push_invalid")
    return uri


def pushed_url(credentials: Credentials, request_uri: str) -> str:
    """Returns the authorization request of section 4: it names the client and what was pushed."""
    endpoint = credentials.metadata.authorization_endpoint
    query = urlencode({"client_id": credentials.client.id, "request_uri": request_uri})
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"
