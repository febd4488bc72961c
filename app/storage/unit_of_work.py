"""One transaction: the ports of the domain on one connection."""

from dataclasses import dataclass

from sqlalchemy import Connection

from app.domain.ports.store import Transaction
from app.storage.repositories.audit import AuditRepository
from app.storage.repositories.credentials import (
    AccessKeyRepository,
    SessionRepository,
    SigningKeyRepository,
)
from app.storage.repositories.guilds_and_servers import (
    GuildRepository,
    ServerRepository,
    StoppedServerRepository,
)
from app.storage.repositories.idempotency import IdempotencyRepository
from app.storage.repositories.login_attempts import LoginAttemptRepository
from app.storage.repositories.names import NameRepository
from app.storage.repositories.outbox import OutboxRepository
from app.storage.repositories.restore import RestoreRepository
from app.storage.repositories.totals import TotalsRepository
from app.storage.repositories.users import UserRepository


@dataclass(frozen=True)
class SqlTransaction:
    """The ports of one transaction, which the connection begins at their first query."""

    connection: Connection

    @property
    def users(self) -> UserRepository:
        return UserRepository(self.connection)

    @property
    def name_claims(self) -> NameRepository:
        return NameRepository(self.connection)

    @property
    def sessions(self) -> SessionRepository:
        return SessionRepository(self.connection)

    @property
    def keys(self) -> AccessKeyRepository:
        return AccessKeyRepository(self.connection)

    @property
    def login_attempts(self) -> LoginAttemptRepository:
        return LoginAttemptRepository(self.connection)

    @property
    def idempotency(self) -> IdempotencyRepository:
        return IdempotencyRepository(self.connection)

    @property
    def signing_keys(self) -> SigningKeyRepository:
        return SigningKeyRepository(self.connection)

    @property
    def guilds(self) -> GuildRepository:
        return GuildRepository(self.connection)

    @property
    def servers(self) -> ServerRepository:
        return ServerRepository(self.connection)

    @property
    def audit(self) -> AuditRepository:
        return AuditRepository(self.connection)

    @property
    def totals(self) -> TotalsRepository:
        return TotalsRepository(self.connection)

    @property
    def restored_database(self) -> RestoreRepository:
        return RestoreRepository(self.connection)

    @property
    def outbox(self) -> OutboxRepository:
        return OutboxRepository(self.connection)

    @property
    def stopped_servers(self) -> StoppedServerRepository:
        return StoppedServerRepository(self.connection)


def connection_of(tx: Transaction) -> Connection:
    """Return the connection of a transaction of ours, for what no port of the domain covers."""
    assert isinstance(tx, SqlTransaction)
    return tx.connection
