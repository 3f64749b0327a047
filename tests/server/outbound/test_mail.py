"""Mail over real sockets: encryption, refusals, time-outs, and a queue that blocks no request."""

from __future__ import annotations

import base64
import contextlib
import datetime
import logging
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server import ServerSettings
from auth_agent.server.outbound import mail as mailing
from auth_agent.server.outbound import outbox as outboxes
from auth_agent.server.outbound.mail import Mail, MailServer
from auth_agent.server.outbound.outbox import Outbox, build_outbox
from auth_agent.server.security.mailed_codes import MailedCodes, clean_code, new_code

LETTER = Mail("ann@owner.example", "123456 is your code", "Your code is 123456\n")


class MailHost(threading.Thread):
    """A mail server for one conversation at a time; `said` is what it was told."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, implicit: bool = False) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.tls, self.implicit = tls, implicit
        self.international = False
        self.answers: dict[str, str] = {}
        self.said: list[str] = []
        self.encrypted: list[str] = []
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open = [connection]
            with contextlib.suppress(OSError):
                self._talk(connection)
            for each in self._open:
                each.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._listener.close()

    def _talk(self, connection: Any) -> None:
        is_secret = False
        if self.tls and self.implicit:
            connection, is_secret = self._encrypted(connection), True
        connection.settimeout(5)
        connection.sendall(b"220 ready\r\n")
        lines = connection.makefile("rb")
        while line := lines.readline().decode().rstrip("\r\n"):
            self.said.append(line)
            if is_secret:
                self.encrypted.append(line)
            verb = line.partition(" ")[0].upper()
            if verb == "STARTTLS" and self.tls:
                connection.sendall(b"220 go\r\n")
                connection, is_secret = self._encrypted(connection), True
                lines = connection.makefile("rb")
                continue
            if verb == "DATA" and "DATA" not in self.answers:
                connection.sendall(b"354 go on\r\n")
                while (text := lines.readline().decode().rstrip("\r\n")) != ".":
                    self.said.append(text)
                verb = "."
            known = {"EHLO": self._features(), "QUIT": "221 bye", "AUTH": "235 welcome"}
            answer = self.answers.get(verb) or known.get(verb, "250 ok")
            connection.sendall(answer.encode() + b"\r\n")
            if verb == "QUIT":
                return

    def _encrypted(self, connection: Any) -> Any:
        assert self.tls
        self._open.append(self.tls.wrap_socket(connection, server_side=True))
        return self._open[-1]

    def _features(self) -> str:
        starttls = "250-STARTTLS\r\n" if self.tls and not self.implicit else ""
        smtputf8 = "250-SMTPUTF8\r\n" if self.international else ""
        return f"250-here\r\n{starttls}{smtputf8}250-AUTH PLAIN\r\n250 8BITMIME"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes a self-signed certificate for localhost."""
    key, path = ec.generate_private_key(ec.SECP256R1()), tmp_path_factory.mktemp("tls") / "c.pem"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(encoding)
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def hosts() -> Iterator[list[MailHost]]:
    made: list[MailHost] = []
    yield made
    for host in made:
        host.close()


def settings(url: str, **more: Any) -> ServerSettings:
    return ServerSettings(issuer="http://127.0.0.1:8420", smtp_url=Secret(url), **more)


def server(url: str, **more: Any) -> MailServer:
    return MailServer.from_settings(settings(url, **more))


def test_a_mail_in_the_clear_on_this_machine(hosts: list[MailHost]) -> None:
    hosts.append(host := MailHost())
    mailing.send(server(f"smtp://localhost:{host.port}", mail_from="id@shop.example"), LETTER)
    assert "Your code is 123456" in host.said
    assert "To: ann@owner.example" in host.said
    assert "From: id@shop.example" in host.said
    assert "Auto-Submitted: auto-generated" in host.said


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("implicit", [True, False])
def test_an_encrypted_mail(hosts: list[MailHost], tls: ssl.SSLContext, implicit: bool) -> None:
    hosts.append(host := MailHost(tls, implicit=implicit))
    scheme = "smtps" if implicit else "smtp"
    mailing.send(server(f"{scheme}://us%40er:p%2Fw@localhost:{host.port}"), LETTER)
    expected = base64.b64encode(b"\0us@er\0p/w").decode()
    assert f"AUTH PLAIN {expected}" in host.encrypted
    assert any(line.upper().startswith("MAIL FROM") for line in host.encrypted)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_that_nobody_knows_is_refused(
    hosts: list[MailHost], tls: ssl.SSLContext, implicit: bool
) -> None:
    hosts.append(host := MailHost(tls, implicit=implicit))
    scheme = "smtps" if implicit else "smtp"
    with pytest.raises(ssl.SSLCertVerificationError):
        mailing.send(server(f"{scheme}://user:secret@localhost:{host.port}"), LETTER)
    assert "secret" not in str(host.said)
    assert not any("AUTH" in line or "123456" in line for line in host.said)


def test_a_server_without_tls_elsewhere_is_refused(
    hosts: list[MailHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.append(host := MailHost())
    monkeypatch.setattr(mailing, "is_loopback", lambda _: False)
    url = f"smtp://user:secret@localhost:{host.port}"
    with pytest.raises(smtplib.SMTPNotSupportedError, match="plaintext=allowed"):
        mailing.send(server(url), LETTER)
    assert not any("AUTH" in line or "123456" in line for line in host.said)
    mailing.send(server(url + "?plaintext=allowed"), LETTER)
    assert "Your code is 123456" in host.said


def test_nobody_writes_headers_through_an_address(hosts: list[MailHost]) -> None:
    hosts.append(host := MailHost())
    where = server(f"smtp://localhost:{host.port}")
    with pytest.raises(ValueError, match="CR or LF"):
        mailing.send(where, Mail("a@b.example\nBcc: all@b.example", "s", "t"))
    mailing.send(where, Mail("all@b.example,x@c.example", "s", "t"))
    assert [line.lower() for line in host.said if line.lower().startswith("rcpt")] == [
        'rcpt to:<"all@b.example,x"@c.example>'
    ]


def test_letters_before_the_at_need_smtputf8(
    hosts: list[MailHost], caplog: pytest.LogCaptureFixture
) -> None:
    hosts.append(host := MailHost())
    where = server(f"smtp://localhost:{host.port}")
    letter = Mail("jürgen@owner.example", "123456 is your code", "Your code is 123456\n")
    outbox = Outbox(lambda mail: mailing.send(where, mail))
    assert outbox.can_reach(letter.to)  # nobody knows yet
    outbox.post(letter)
    outbox.close()
    assert not outbox.can_reach(letter.to)
    assert outbox.can_reach("ann@owner.example")
    assert "SMTPUTF8" in caplog.text
    assert "rgen" not in caplog.text
    assert not any("123456" in line or line.upper().startswith("MAIL") for line in host.said)
    host.international = True
    outbox.ask_ability()
    outbox.close()
    assert not any(line.upper().startswith("MAIL") for line in host.said)
    assert outbox.can_reach(letter.to)
    outbox.post(letter)
    outbox.close()
    said = [line.lower() for line in host.said]  # Python's releases differ
    assert "rcpt to:<jürgen@owner.example>" in said
    assert any("smtputf8" in line for line in said if line.startswith("mail from"))
    assert "To: jürgen@owner.example" in host.said
    assert "Your code is 123456" in host.said


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"smtp://localhost:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            mailing.send(server(url), LETTER)
        assert time.monotonic() - started < 2


def test_a_refused_mail_is_tried_again_and_logged_without_its_text(
    hosts: list[MailHost], caplog: pytest.LogCaptureFixture
) -> None:
    hosts.append(host := MailHost())
    host.answers["MAIL"] = "451 come back; your code is 123456"
    where = server(f"smtp://localhost:{host.port}")
    outbox = Outbox(lambda mail: mailing.send(where, mail), (0.01, 0.01))
    outbox.post(LETTER)
    outbox.close()
    assert sum(line.upper().startswith("MAIL") for line in host.said) == 3
    assert "451" in caplog.text
    assert "123456" not in caplog.text
    assert "ann@" not in caplog.text
    host.said.clear()
    host.answers["MAIL"] = "550 no"
    outbox.post(LETTER)
    outbox.close()
    assert sum(line.upper().startswith("MAIL") for line in host.said) == 1


def test_a_slow_server_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "LAST_MAILS", 0.1)
    gate, done = threading.Event(), []
    outbox = Outbox(lambda mail: (gate.wait(5), done.append(mail)))  # type: ignore[arg-type]
    started = time.monotonic()
    for _ in range(3):
        outbox.post(LETTER)
    assert time.monotonic() - started < 0.1
    gate.set()
    outbox.close()
    assert len(done) == 3


def test_a_full_queue_drops_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outboxes, "MOST_WAITING", 2)
    gate = threading.Event()
    outbox = Outbox(lambda _: gate.wait(5))  # type: ignore[arg-type]
    for _ in range(9):
        outbox.post(LETTER)
    gate.set()
    outbox.close()
    assert "dropped" in caplog.text
    assert "ann@" not in caplog.text


def test_in_development_mail_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    outbox = build_outbox(ServerSettings(issuer="http://127.0.0.1:8420"))
    assert outbox.can_send
    outbox.post(LETTER)
    outbox.close()
    assert "Your code is 123456" in capsys.readouterr().err


def test_elsewhere_no_mail_is_printed(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    outbox = build_outbox(ServerSettings(issuer="https://id.example", secrets=(Secret("s" * 32),)))
    assert not outbox.can_send
    outbox.post(LETTER)
    outbox.close()
    assert capsys.readouterr().err == ""
    assert "SMTP_URL" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example/inbox",
        "smtp://mail.example?plaintext=yes",
        "smtp://mail.example:notaport",
    ],
)
def test_a_wrong_address_is_named_without_its_password(url: str) -> None:
    url = url.replace("://", "://user:hunter2hunter2@")
    with pytest.raises(SettingsError) as told:
        settings(url)
    assert "AUTH_AGENT_SERVER_SMTP_URL" in str(told.value)
    assert "hunter2" not in str(told.value)


def test_what_holds_a_code_or_a_password_does_not_show_it() -> None:
    assert "123456" not in repr(LETTER)
    assert "hunter2" not in repr(server("smtp://user:hunter2@mail.example"))


def test_codes_are_eight_digits_under_a_key() -> None:
    ours, others = (MailedCodes((Secret(c * 32),)) for c in "ab")
    assert all(re.fullmatch(r"\d{8}", new_code()) for _ in range(100))
    stored = ours.hash("proof", "01234567")
    assert ours.matches(stored, "proof", "01234567")
    assert not ours.matches(stored, "proof", "01234568")
    assert not ours.matches(stored, "other", "01234567")
    assert not others.matches(stored, "proof", "01234567")
    rotated = MailedCodes((Secret("b" * 32), Secret("a" * 32)))
    assert rotated.matches(stored, "proof", "01234567")
    assert clean_code(" 0123-4567 ") == "01234567"
    assert ours.shared("ann 1") == MailedCodes((Secret("a" * 32),)).shared("ann 1")
    others_say = {others.shared("ann 1"), ours.shared("ann 2"), ours.shared("bob 1")}
    assert ours.shared("ann 1") not in others_say
    assert clean_code(ours.shared("ann 1")[0]) == ours.shared("ann 1")[0]
    assert clean_code("٠١٢٣٤٥٦٧") is None


@pytest.mark.parametrize("implicit", [None, False, True])
def test_a_relay_below_localhost_is_this_machine(
    hosts: list[MailHost],
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    implicit: bool | None,
) -> None:
    """Skips DNS for such a name, which could send the mail elsewhere (RFC 6761 6.3)."""
    host = MailHost() if implicit is None else MailHost(tls, implicit=implicit)
    hosts.append(host)
    look_up = socket.getaddrinfo

    def no_name(name: Any, *arguments: Any, **options: Any) -> Any:
        assert name in ("127.0.0.1", "::1"), name
        return look_up(name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    scheme = "smtps" if implicit else "smtp"
    settings = ServerSettings(
        issuer="http://localhost:8420", smtp_url=Secret(f"{scheme}://mail.localhost:{host.port}")
    )
    if implicit is None:
        mailing.send(MailServer.from_settings(settings), LETTER)
        assert any("123456" in line for line in host.said)
    else:  # it has answered, with a certificate that nobody knows
        with pytest.raises(ssl.SSLCertVerificationError):
            mailing.send(MailServer.from_settings(settings), LETTER)


@pytest.mark.parametrize("user", ["ann", "änn"])
def test_a_password_that_is_not_ascii_logs_in(hosts: list[MailHost], user: str) -> None:
    hosts.append(host := MailHost())
    mailing.send(server(f"smtp://{user}:p%C3%A4ss@localhost:{host.port}"), LETTER)
    (said,) = (line for line in host.said if line.startswith("AUTH PLAIN "))
    assert base64.b64decode(said.rpartition(" ")[2]).decode() == f"\0{user}\0päss"
    host.answers["AUTH"] = "535 no"
    with pytest.raises(smtplib.SMTPAuthenticationError):
        mailing.send(server(f"smtp://{user}:p%C3%A4ss@localhost:{host.port}"), LETTER)


def test_a_mail_that_fails_in_an_unknown_way_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    delivered, given_up = [], []

    def deliver(mail: Mail) -> bool:
        if mail is not LETTER:
            raise UnicodeEncodeError("ascii", "your code is 123456", 0, 1, "a secret")
        delivered.append(mail)
        return False

    outbox = Outbox(deliver, (0.01, 0.01))
    outbox.tell_of_failures(lambda: given_up.append(1))
    for mail in (Mail("a@b.example", "s", "t"), LETTER):
        outbox.post(mail)
    outbox.close()
    assert (delivered, given_up) == ([LETTER], [1])
    assert "UnicodeEncodeError" in caplog.text
    assert "123456" not in caplog.text


def test_mail_waits_while_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    delivered: list[Mail] = []
    outbox = Outbox(lambda mail: bool(delivered.append(mail)))

    def exhausted(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", exhausted)
        outbox.post(LETTER)
    outbox.post(LETTER)
    outbox.close()
    assert delivered == [LETTER, LETTER]
