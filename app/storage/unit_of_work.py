"""One transaction: the ports of the domain on one connection."""

from dataclasses import dataclass

from sqlalchemy import Connection

from app.storage.credentials import KeyTable, SessionTable, SigningKeyTable
from app.storage.names import NameTable
from app.storage.recent import Recent, RecentKeys, RecentSessions
from app.storage.registry import GuildTable, ServerTable
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
    def signing_keys(self) -> SigningKeyTable:
        return SigningKeyTable(self.connection)

    @property
    def guilds(self) -> GuildTable:
        return GuildTable(self.connection)

    @property
    def servers(self) -> ServerTable:
        return ServerTable(self.connection)


@dataclass(frozen=True)
class RecentTransaction(SqlTransaction):
    """The same, with what was read of credentials lately at hand."""

    recent: Recent

    @property
    def sessions(self) -> SessionTable:
        return RecentSessions(self.connection, self.recent)

    @property
    def keys(self) -> KeyTable:
        return RecentKeys(self.connection, self.recent)
