"""`auth-agent serve`: the Auth Agent server."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auth_agent.cli.output import fail, refusals_are_told
from auth_agent.cli.server.admin import setup_url
from auth_agent.cli.server.storage import cause, check_folder, server_settings

if TYPE_CHECKING:
    from auth_agent.secret import Secret
    from auth_agent.server import ServerSettings


METRICS = "PROMETHEUS_MULTIPROC_DIR"


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8420,
    issuer: Annotated[
        str | None,
        typer.Option(
            envvar="AUTH_AGENT_SERVER_ISSUER",
            help="Public URL of this server; default http://HOST:PORT on a loopback host.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(envvar="AUTH_AGENT_SERVER_DATABASE", help="Database URL."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    upstream_compat: Annotated[
        bool,
        typer.Option(
            "--upstream-compat",
            help="UNSAFE, loopback issuer only: anyone who knows a request ID gets its code.",
        ),
    ] = False,
) -> None:
    """Run the Auth Agent server until it is interrupted."""
    with refusals_are_told():
        _check_metrics()
        _check_free(host, port)
        settings = server_settings(
            database, issuer or _loopback_issuer(host, port), upstream_compat=upstream_compat
        )
        check_folder(settings.database)
        _tell(settings, host, port, workers)
        _tell_first_step(settings, _prepare(settings))
    _run(settings, host, port, workers)


def _check_metrics() -> None:
    """Raises ValueError if the folder that workers share their counters in cannot be used."""
    folder = os.environ.get(METRICS)
    if folder == "":
        del os.environ[METRICS]  # the library would take it for a folder
    elif folder is not None and not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise ValueError(f"{METRICS} names no folder to write to; make it, or unset the variable")


def _check_free(host: str, port: int) -> None:
    """Raises ValueError before the start if the address cannot be listened on."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"port {port} is taken, perhaps by another auth-agent serve; stop that one or "
                f"choose another port: --port {port + 1 if port < 65535 else 8420}"
            ) from None
        cause = error.strerror or str(error)
        raise ValueError(f"cannot listen on {host} port {port}: {cause}") from None


def _loopback_issuer(host: str, port: int) -> str | None:
    from auth_agent.url import is_loopback  # noqa: PLC0415

    if not is_loopback(host):
        return None
    return f"http://{_bracketed(host)}:{port}"


def _prepare(settings: ServerSettings) -> Secret | None:
    """Checks schema, secret and keys before the workers start.

    Returns the token of a single-use link if there is no administrator yet.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from auth_agent.server.context import build_context  # noqa: PLC0415
    from auth_agent.server.registry.people.administrators import has_administrators, make_setup_link  # noqa: PLC0415

    try:
        context = build_context(settings)
    except ModuleNotFoundError:  # an extra is missing, which `main` says
        raise
    except (SQLAlchemyError, ImportError) as error:
        raise fail(f"The database cannot be opened: {cause(error)}") from None
    try:
        if has_administrators(context.database):
            return None
        return make_setup_link(context.database, None, context.now())
    finally:
        context.close()


def _tell_first_step(settings: ServerSettings, token: Secret | None) -> None:
    if token is None:
        return
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"  console    {settings.issuer}/console", markup=False)
    console.print("  No administrator yet. Open this link within an hour; it works once:")
    console.print(f"  {setup_url(settings.issuer, token)}", markup=False)


def _run(settings: ServerSettings, host: str, port: int, workers: int) -> None:
    import uvicorn  # noqa: PLC0415

    from auth_agent.server.web.logs import log_config  # noqa: PLC0415

    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "server_header": False,
        "log_level": "warning",
        # URLs are private, and a mistaken client may put a token there.
        "access_log": False,
        # Uvicorn would take X-Forwarded-For from any sender, and the audit would record it.
        "proxy_headers": False,
        "timeout_graceful_shutdown": 15,
        # Uvicorn's default of five seconds kills workers that start slowly on a busy machine.
        "timeout_worker_healthcheck": 60,
        "log_config": log_config(settings.log_format),
        # h11 has its own bounds, at least for the head's size.
        "http": "auth_agent.cli.server.http_bounds:BoundedHttp" if _has_httptools() else "h11",
        "h11_max_incomplete_event_size": 32_768,
    }
    if workers == 1:
        from auth_agent.server import create_app  # noqa: PLC0415

        # Said, because uvicorn would take WEB_CONCURRENCY, which many platforms set.
        uvicorn.run(create_app(settings), workers=1, **options)
        return
    _hand_over(settings)
    with TemporaryDirectory(prefix="auth-agent-metrics-") as folder:
        os.environ.setdefault(METRICS, folder)
        uvicorn.run("auth_agent.server:create_app", factory=True, workers=workers, **options)


def _has_httptools() -> bool:
    return importlib.util.find_spec("httptools") is not None


def _hand_over(settings: ServerSettings) -> None:
    """Passes the settings to the workers through their environment."""
    os.environ["AUTH_AGENT_SERVER_ISSUER"] = settings.issuer
    os.environ["AUTH_AGENT_SERVER_DATABASE"] = settings.database
    os.environ["AUTH_AGENT_SERVER_UPSTREAM_COMPAT"] = str(settings.upstream_compat).lower()


def _tell(settings: ServerSettings, host: str, port: int, workers: int) -> None:
    from rich.console import Console  # noqa: PLC0415

    from auth_agent.server.security.secret_file import secret_path  # noqa: PLC0415
    from auth_agent.server.storage.database import shown_url  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold]Auth Agent server[/bold]")
    console.print(f"  issuer     {settings.issuer}", markup=False)
    console.print(f"  listens    http://{_bracketed(host)}:{port}", markup=False)
    console.print(f"  database   {shown_url(settings.database)}", markup=False)
    if not settings.secrets:
        kept = secret_path(settings.database) or "memory, gone at the end"
        console.print(f"  secret     {kept}", markup=False)
    console.print(f"  mail       {_mail(settings)}", markup=False)
    if not _has_passkeys(settings):
        console.print(f"  passkeys   none at an IP address{_better(host)}", markup=False)
    for warning in _warnings(settings, host, workers):
        console.print(f"  insecure   {warning}", style="yellow", markup=False)


def _has_passkeys(settings: ServerSettings) -> bool:
    from auth_agent.server.security.passkeys import RelyingParty  # noqa: PLC0415

    return RelyingParty.of(settings.issuer) is not None


def _better(host: str) -> str:
    """Returns how a developer's server gets a name."""
    from auth_agent.url import is_loopback  # noqa: PLC0415

    return "; with --host localhost the issuer has a name" if is_loopback(host) else ""


def _mail(settings: ServerSettings) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415

    if settings.smtp_url:
        return f"by {urlsplit(settings.smtp_url.reveal()).hostname}"
    return (
        "printed here" if settings.is_loopback else "none: invite owners (auth-agent owner invite)"
    )


def _warnings(settings: ServerSettings, host: str, workers: int) -> list[str]:
    from auth_agent.url import is_loopback  # noqa: PLC0415

    found = []
    if not settings.is_https:
        found.append("http issuer: for development on this machine only")
    if not is_loopback(host):
        found.append(f"listens on {host} without TLS: put a proxy with TLS in front")
    elif settings.is_https and not settings.trusted_proxies:
        found.append(
            "https issuer, but no AUTH_AGENT_SERVER_TRUSTED_PROXIES: behind a proxy all visitors "
            "share one address and its limits"
        )
    if settings.upstream_compat:
        found.append("--upstream-compat: anyone who knows a request ID can finish the sign-in")
    if "plaintext=allowed" in settings.smtp_url.reveal():
        found.append("mail goes unencrypted: anyone on the way can read the codes")
    if workers > 1 and not settings.redis:
        found.append(f"{workers} workers without Redis: each worker counts failures on its own")
    if not settings.secrets:
        found.append("no AUTH_AGENT_SERVER_SECRET: anyone who can read the disk can sign tokens")
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
