"""One mail, delivered over SMTP: verified certificates, and nothing secret unencrypted."""

from __future__ import annotations

import base64
import smtplib
import ssl
from collections.abc import Callable
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from auth_agent.secret import Secret
from auth_agent.server.outbound.addresses import needs_smtputf8
from auth_agent.server.settings import ServerSettings
from auth_agent.url import addresses_of, is_loopback

TIMEOUT = 10.0  # seconds, for each step of the exchange with the mail server


class Mail(Struct, frozen=True):
    """One mail; its text may hold a code, so it has no repr."""

    to: str
    subject: str
    text: str

    def __repr__(self) -> str:
        return f"Mail(to={self.to!r}, ...)"


# Without a recipient: only asks the mail server for its abilities.
GREETING = Mail("", "", "")


class MailServer(Struct, frozen=True):
    """The mail server to use; `plaintext` sends unencrypted, readable by others."""

    host: str
    port: int
    tls: bool
    user: str
    password: Secret
    plaintext: bool
    sender: str
    name: str  # ours, for EHLO

    @classmethod
    def from_settings(cls, settings: ServerSettings) -> MailServer:
        parts = urlsplit(settings.smtp_url.reveal())
        tls = parts.scheme == "smtps"
        host = parts.hostname or ""
        return cls(
            host=host,
            port=parts.port or (465 if tls else 25 if is_loopback(host) else 587),
            tls=tls,
            user=unquote(parts.username or ""),
            password=Secret(unquote(parts.password or "")),
            plaintext=parse_qs(parts.query).get("plaintext") == ["allowed"],
            sender=sender_of(settings),
            name=urlsplit(settings.issuer).hostname or "localhost",
        )


class NoSmtpUtf8(smtplib.SMTPNotSupportedError):
    """The mail server takes no address with non-ASCII characters before the @."""


def sender_of(settings: ServerSettings) -> str:
    host = urlsplit(settings.issuer).hostname or "localhost"
    return settings.mail_from or f"auth-agent@{'localhost' if ':' in host else host}"


def send(server: MailServer, mail: Mail) -> bool:
    """Delivers one mail; verifies certificates, and sends nothing secret unencrypted.

    Returns whether the mail server offers SMTPUTF8; NoSmtpUtf8 if the mail would have needed it.
    """
    with _connection(server) as smtp:
        smtp.ehlo_or_helo_if_needed()
        is_international = bool(smtp.has_extn("smtputf8"))
        if mail is GREETING:
            return is_international
        if needs_smtputf8(mail.to) and not is_international:
            raise NoSmtpUtf8("the mail server offers no SMTPUTF8, which the address needs")
        if server.user:
            _log_in(smtp, server)
        smtp.send_message(_message(server, mail))
    return is_international


def _log_in(smtp: smtplib.SMTP, server: MailServer) -> None:
    """Authenticates; smtplib can send ASCII only, and PLAIN is UTF-8 (RFC 4616 section 2)."""
    user, password = server.user, server.password.reveal()
    if f"{user}{password}".isascii():
        smtp.login(user, password)
        return
    text = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    code, answer = smtp.docmd("AUTH", f"PLAIN {text}")
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, answer)


class _Dialling:
    """Opens the connection; a name below `.localhost` is this machine (RFC 6761 6.3)."""

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        """Replaces smtplib's method; certificates are still checked against the name."""
        connect: Callable[[str, int, float], Any] = super()._get_socket  # type: ignore[misc]
        *earlier, last = addresses_of(host)
        for address in earlier:
            try:
                return connect(address, port, timeout)
            except ssl.SSLError:  # a server answers, but cannot be trusted
                raise
            except OSError:
                continue
        return connect(last, port, timeout)


class _Smtp(_Dialling, smtplib.SMTP):
    pass


class _SmtpTls(_Dialling, smtplib.SMTP_SSL):
    pass


def _connection(server: MailServer) -> smtplib.SMTP:
    trust = ssl.create_default_context()
    if server.tls:
        return _SmtpTls(server.host, server.port, server.name, timeout=TIMEOUT, context=trust)
    smtp = _Smtp(server.host, server.port, server.name, timeout=TIMEOUT)
    try:
        if not server.plaintext:
            _encrypt(smtp, server, trust)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _encrypt(smtp: smtplib.SMTP, server: MailServer, trust: ssl.SSLContext) -> None:
    smtp.ehlo()
    if smtp.has_extn("starttls"):
        smtp.starttls(context=trust)
    elif not is_loopback(server.host):
        raise smtplib.SMTPNotSupportedError(
            "the mail server offers no TLS; use smtps://, or add ?plaintext=allowed"
        )


def _message(server: MailServer, mail: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"] = server.sender
    local, _, domain = mail.to.rpartition("@")
    message["To"] = Address("", local, domain)  # one address, whatever characters it holds
    message["Subject"] = mail.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=server.sender.partition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(mail.text)
    return message


def is_final(error: Exception) -> bool:
    """Returns True if a retry is useless: a mail server repeats its 5xx."""
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    return isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError)


def cause_of(error: Exception) -> str:
    """Returns the error's kind and number; the mail server's text may quote the mail."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    if isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLError | OSError):
        return f"{type(error).__name__}: {error}"
    return type(error).__name__
