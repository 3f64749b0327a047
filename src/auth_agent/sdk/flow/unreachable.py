"""Error messages for hosts that did not answer, with the remedy."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest
from auth_agent.sdk.text import one_line


def unavailable(request: HttpRequest, error: Exception) -> AuthError:
    """Returns the error of a failed request.

    Codes: `tls_failed`, `dns_failed`, `proxy_failed`, `insecure_url`, else `server_unavailable`.
    """
    host = urlsplit(request.url).netloc
    name = type(error).__name__
    if name == "InvalidURL":  # some releases of httpx2 check a Location that they do not follow
        return AuthError(f"{host} redirects to something that is not a URL.", code="insecure_url")
    if name == "ProxyError":
        return ServerUnavailable(
            f"The proxy on the way to {host} refused the request ({one_line(error, 150)}); check "
            "HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
            code="proxy_failed",
        )
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _tls_failed(host, cause)
        if isinstance(cause, socket.gaierror):
            return ServerUnavailable(
                f"There is no address for {host}: the name is misspelt, or DNS does not work on "
                "this machine.",
                code="dns_failed",
            )
    return ServerUnavailable(
        f"{host} does not answer ({_reason(error) or name}). Check that it runs and that the "
        "address is right, or try again later."
    )


def _reason(error: Exception) -> str:
    """Returns the operating system's own message, such as `Connection refused`."""
    numbers = (cause.errno for cause in _causes(error) if isinstance(cause, OSError))
    return next((os.strerror(number) for number in numbers if number), "")


def _tls_failed(host: str, error: ssl.SSLError) -> ServerUnavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = one_line(error.verify_message or "verification failed", 150)
        text = (
            f"The certificate of {host} is not trusted ({reason}). Nothing was sent. "
            f"{_remedy(error)}"
        )
    else:
        reason = one_line(error.reason or "handshake failed", 150)
        text = (
            f"The TLS connection to {host} failed ({reason}). Nothing was sent. Check that its "
            "port speaks https."
        )
    return ServerUnavailable(text, code="tls_failed")


def _remedy(error: ssl.SSLCertVerificationError) -> str:
    """Returns the remedy; OpenSSL's codes: 10 expired, 9 not yet valid, 62 and 64 another name."""
    if error.verify_code in (9, 10):
        return "Renew the certificate there, or set this machine's clock."
    if error.verify_code in (62, 64):
        return "Use the name that the certificate is for, or get one for this name."
    return (
        "Install the whole chain of the certificate there; if an authority of your own has signed "
        "it, let SSL_CERT_FILE name a file that holds that authority, too."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields the error and everything that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
