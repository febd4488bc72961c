"""One transaction: the ports of the domain on one connection."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from app.storage.attempts import AttemptsTable
from app.storage.audit import AuditTable
from app.storage.credentials import KeyTable, SessionTable, SigningKeyTable
from app.storage.idempotency import IdempotencyTable
from app.storage.names import NameTable
from app.storage.outbox import OutboxTable
from app.storage.prepared import SecondQuery
from app.storage.recent import RecentAt, RecentKeys, RecentSessions
from app.storage.registry import GuildTable, ServerTable, StoppedServerTable
from app.storage.restoration import RestorationTables
from app.storage.users import UserTable


@dataclass(frozen=True)
class SqlTransaction:
    """The ports of one transaction, which the connection begins at their first query."""

    connection: Connection

    @property
    def users(self) -> UserTable:
        return UserTable(self.connection)

    @property
    def names(self) -> NameTable:
        return NameTable(self.connection)

    @property
    def sessions(self) -> SessionTable:
        return SessionTable(self.connection)

    @property
    def keys(self) -> KeyTable:
        return KeyTable(self.connection)

    @property
    def attempts(self) -> AttemptsTable:
        return AttemptsTable(self.connection)

    @property
    def idempotency(self) -> IdempotencyTable:
        return IdempotencyTable(self.connection)

    @property
    def signing_keys(self) -> SigningKeyTable:
        return SigningKeyTable(self.connection)

    @property
    def guilds(self) -> GuildTable:
        return GuildTable(self.connection)

    @property
    def servers(self) -> ServerTable:
        return ServerTable(self.connection)

    @property
    def audit(self) -> AuditTable:
        return AuditTable(self.connection)

    @property
    def restoration(self) -> RestorationTables:
        return RestorationTables(self.connection)

    @property
    def outbox(self) -> OutboxTable:
        return OutboxTable(self.connection)

    @property
    def stopped_servers(self) -> StoppedServerTable:
        return StoppedServerTable(self.connection)


@dataclass(frozen=True)
class RecentTransaction(SqlTransaction):
    """The same, with what was read of credentials lately at hand."""

    recent: RecentAt

    @property
    def sessions(self) -> SessionTable:
        return RecentSessions(self.connection, self.recent)

    @property
    def keys(self) -> KeyTable:
        return RecentKeys(self.connection, self.recent)


class OneQuery:
    """A connection that lets one query through and raises SecondQuery at another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked = False
        self.dialect = connection.dialect
        self.dispatch = connection.dispatch
        self._handle_dbapi_exception = connection._handle_dbapi_exception

    def __getattr__(self, name: str) -> Any:
        if self._asked:
            raise SecondQuery
        self._asked = True
        return getattr(self._connection, name)


class OneLook(SqlTransaction):
    """What one query finds; not for credentials, which may be at hand without any."""

    @property
    def sessions(self) -> SessionTable:
        raise SecondQuery

    @property
    def keys(self) -> KeyTable:
        raise SecondQuery
