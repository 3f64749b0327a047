"""The context that all handlers share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from auth_agent.errors import SettingsError
from auth_agent.flow.fetching.fetcher import Fetcher
from auth_agent.server.outbound.outbox import Outbox, build_outbox
from auth_agent.server.registry.client_cache import Clients, Origins
from auth_agent.server.registry.self_registered.documents import ClientDocuments
from auth_agent.server.security.assertions import Assertions
from auth_agent.server.security.credentials import CodeMaker, SecretVerifier
from auth_agent.server.security.dpop import Proofs
from auth_agent.server.security.guessing.guesses import Guesses
from auth_agent.server.security.guessing.limits import Limits
from auth_agent.server.security.keys.keyring import Keyring, has_keys
from auth_agent.server.security.mailed_codes import MailedCodes
from auth_agent.server.security.owner_marks import OwnerMarks
from auth_agent.server.security.passkey_challenges import Challenges
from auth_agent.server.security.secret_file import server_secrets
from auth_agent.server.settings import ServerSettings
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.schema import OtherSchema, need_head
from auth_agent.server.storage.sweep import Sweeper
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Answer, Call
from auth_agent.server.web.pages.render import Pages, pages_under
from auth_agent.server.web.proxies import Proxies

Clock = Callable[[], float]


class Unrecorded:
    """The number of refusals that were left out of the audit."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self.count += 1

    def take(self) -> int:
        """Returns the number and resets it."""
        with self._lock:
            count, self.count = self.count, 0
        return count


@dataclass(frozen=True, slots=True, repr=False)
class Context:
    """One server: its settings, its database, and the objects built from them."""

    settings: ServerSettings
    database: Database
    keyring: Keyring
    verifier: SecretVerifier
    codes: CodeMaker
    origins: Origins
    sweeper: Sweeper
    pages: Pages
    clock: Clock
    outbox: Outbox
    mailed_codes: MailedCodes
    owner_marks: OwnerMarks
    challenges: Challenges
    limits: Limits
    guesses: Guesses
    unrecorded: Unrecorded
    fetcher: Fetcher
    clients: Clients
    assertions: Assertions
    proofs: Proofs
    documents: ClientDocuments
    proxies: Proxies

    def now(self) -> int:
        """Returns whole seconds since 1970."""
        return int(self.clock())

    def record_refusal(self, *, kind: str, outcome: str, **whom: str | None) -> None:
        """Records a refusal in the audit, in its own transaction.

        Writes a bounded number per minute; refusals are deleted sooner than other records.
        """
        or_wait()  # the event loop must not wait for another writer
        if not self.limits.count("refusal_records"):
            self.unrecorded.add()
            return
        with self.database.begin() as connection:
            record(connection, at=self.now(), kind=kind, outcome=outcome, **whom)
            self._record_unrecorded(connection)

    def record_undelivered(self) -> None:
        """Records that a mail did not leave, without its recipient."""
        self.record_refusal(kind="mail", outcome="not delivered")

    def record_unrecorded(self) -> None:
        """Records how many refusals were left out of the audit, once a minute has room for it."""
        if self.unrecorded.count and not self.limits.is_spent("refusal_records"):
            with self.database.begin() as connection:
                self._record_unrecorded(connection)

    def _record_unrecorded(self, connection: Connection) -> None:
        if count := self.unrecorded.take():
            text = f"and {count} more"
            record(connection, at=self.now(), kind="refusals", outcome=text, counted_as="more")

    def close(self) -> None:
        self.outbox.close()
        self.fetcher.close()
        self.database.close()


Handler = Callable[[Context, Call], Answer]


def build_context(
    settings: ServerSettings,
    clock: Clock = time.time,
    *,
    fetcher: Fetcher | None = None,
    outbox: Outbox | None = None,
) -> Context:
    """Opens the database and makes the first signing key."""
    database = _opened(settings)
    try:
        secrets = server_secrets(settings, has_keys=has_keys(database, int(clock())))
        lifetime = max(settings.access_token_lifetime, settings.id_token_lifetime)
        keyring = Keyring(database, secrets, settings.signing_algorithm, clock, lifetime)
        limits, verifier = Limits(settings, clock), SecretVerifier()
        clients = Clients(database)
        fetcher = fetcher or Fetcher(loopback_allowed=settings.is_loopback, before=or_wait)
        context = Context(
            settings=settings,
            database=database,
            keyring=keyring,
            verifier=verifier,
            guesses=Guesses(verifier, limits),
            unrecorded=Unrecorded(),
            codes=CodeMaker(secrets),
            origins=Origins(database),
            sweeper=Sweeper(database, threading.Lock(), settings),
            pages=pages_under(settings.path),
            clock=clock,
            outbox=outbox or build_outbox(settings),
            mailed_codes=MailedCodes(secrets),
            owner_marks=OwnerMarks(secrets),
            challenges=Challenges(secrets),
            limits=limits,
            fetcher=fetcher,
            clients=clients,
            assertions=Assertions(settings.issuer, database, clock),
            proofs=Proofs(settings, secrets, clock),
            documents=ClientDocuments(
                settings, database, clients, fetcher=fetcher, limits=limits, clock=clock
            ),
            proxies=Proxies(settings.trusted_proxies),
        )
        context.outbox.tell_of_failures(context.record_undelivered)
        keyring.current().signer(clock())
    except BaseException:
        database.close()
        raise
    return context


def _opened(settings: ServerSettings) -> Database:
    """Opens the database; raises SettingsError if its tables are those of another version."""
    try:
        database = Database.open(settings.database, sqlite_synchronous=settings.sqlite_synchronous)
        try:
            need_head(database.revision())
        except BaseException:
            database.close()
            raise
    except OtherSchema as error:
        raise SettingsError([f"AUTH_AGENT_SERVER_DATABASE: {error}"]) from None
    return database
