"""What every handler needs, put together once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auth_agent.errors import SettingsError

from .client_documents import ClientDocuments
from .client_keys import ClientKeys
from .clients import registered_origins
from .credentials import CodeMaker, SecretVerifier
from .database import HEAD, Database
from .fetcher import Fetcher
from .keyring import Keyring
from .limits import Limits
from .mail import Outbox, build_outbox
from .mailed_codes import MailedCodes
from .migration import current_revision
from .pages import Pages
from .proxies import Proxies
from .secret_file import server_secrets
from .settings import ServerSettings
from .sweep import Sweeper

if TYPE_CHECKING:
    from .oauth import OAuthServer

Clock = Callable[[], float]
ORIGINS_CACHE_SECONDS = 10


class Origins:
    """The origins of the registered websites, read again when ten seconds old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    def __contains__(self, origin: str) -> bool:
        read_at, origins = self._known
        if time.monotonic() - read_at > ORIGINS_CACHE_SECONDS:
            with self._database.read() as connection:
                origins = registered_origins(connection)
            self._known = (time.monotonic(), origins)
        return origin in origins


@dataclass(frozen=True, slots=True, repr=False)
class Context:
    """One server: its settings, its database and what is derived from them."""

    settings: ServerSettings
    database: Database
    keyring: Keyring
    verifier: SecretVerifier
    codes: CodeMaker
    origins: Origins
    sweeper: Sweeper
    pages: Pages
    clock: Clock
    oauth: OAuthServer
    outbox: Outbox
    mailed_codes: MailedCodes
    limits: Limits
    fetcher: Fetcher
    client_keys: ClientKeys
    documents: ClientDocuments
    proxies: Proxies

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self.clock())

    def close(self) -> None:
        self.outbox.close()
        self.fetcher.close()
        self.database.close()


def build_context(settings: ServerSettings, clock: Clock = time.time) -> Context:
    """Opens the database, makes the first signing key."""
    from .oauth import OAuthServer  # noqa: PLC0415  (the grants know the context's type)

    secrets = server_secrets(settings)
    database = Database.open(settings.database, sqlite_synchronous=settings.sqlite_synchronous)
    try:
        _need_schema(database)
        lifetime = max(settings.access_token_lifetime, settings.id_token_lifetime)
        keyring = Keyring(database, secrets, settings.signing_algorithm, clock, lifetime)
        oauth = OAuthServer()
        fetcher = Fetcher(loopback_allowed=settings.is_loopback)
        context = Context(
            settings=settings,
            database=database,
            keyring=keyring,
            verifier=SecretVerifier(),
            codes=CodeMaker(secrets),
            origins=Origins(database),
            sweeper=Sweeper(database, threading.Lock(), settings),
            pages=Pages(settings.path),
            clock=clock,
            oauth=oauth,
            outbox=build_outbox(settings),
            mailed_codes=MailedCodes(secrets),
            limits=Limits(settings, clock),
            fetcher=fetcher,
            client_keys=ClientKeys(fetcher),
            documents=ClientDocuments(),
            proxies=Proxies(settings.trusted_proxies),
        )
        oauth.context = context
        keyring.current()
    except BaseException:
        database.close()
        raise
    return context


def _need_schema(database: Database) -> None:
    """SettingsError unless the tables are those that this version knows."""
    with database.read() as connection:
        found = current_revision(connection)
    if found != HEAD:
        raise SettingsError(
            [
                f"AUTH_AGENT_SERVER_DATABASE holds {f'schema {found}' if found else 'no schema'}, "
                f"this version needs {HEAD}; run: auth-agent migrate"
            ]
        )
