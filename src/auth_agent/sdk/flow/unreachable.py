"""Why a host did not answer, in words that say what to do about it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest


def unavailable(request: HttpRequest, error: Exception) -> AuthError:
    """Codes: `tls_failed`, `dns_failed`, `proxy_failed`, `insecure_url`, else
    `server_unavailable`."""
    host = urlsplit(request.url).netloc
    name = type(error).__name__
    if name == "InvalidURL":  # some releases of httpx2 judge a Location that they do not follow
        return AuthError(f"{host} redirects to something that is not a URL.", code="insecure_url")
    if name == "ProxyError":
        return ServerUnavailable(
            f"The proxy on the way to {host} refuses ({error}); check HTTP_PROXY, HTTPS_PROXY and "
            "NO_PROXY.",
            code="proxy_failed",
        )
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _tls_failed(host, cause)
        if isinstance(cause, socket.gaierror):
            return ServerUnavailable(
                f"There is no address for {host}: the name is misspelt, or the network has no "
                "name service.",
                code="dns_failed",
            )
    return ServerUnavailable(f"{host} does not answer ({name}).")


def _tls_failed(host: str, error: ssl.SSLError) -> ServerUnavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message or "verification failed"
        text = (
            f"The certificate of {host} is not trusted ({reason}). Nothing was sent. Mend the "
            "certificate; for an authority of your own set SSL_CERT_FILE."
        )
    else:
        reason = error.reason or "handshake failed"
        text = f"No TLS connection to {host} ({reason}). Nothing was sent; is it an https port?"
    return ServerUnavailable(text, code="tls_failed")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
