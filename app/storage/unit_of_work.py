"""One transaction: the ports of the domain on one connection."""

from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def users(self) -> UserTable:
        return UserTable(self.connection)

    @cached_property
    def names(self) -> NameTable:
        return NameTable(self.connection)

    @cached_property
    def sessions(self) -> SessionTable:
        return SessionTable(self.connection)

    @cached_property
    def keys(self) -> KeyTable:
        return KeyTable(self.connection)

    @cached_property
    def signing_keys(self) -> SigningKeyTable:
        return SigningKeyTable(self.connection)

    @cached_property
    def guilds(self) -> GuildTable:
        return GuildTable(self.connection)

    @cached_property
    def servers(self) -> ServerTable:
        return ServerTable(self.connection)


@dataclass(frozen=True)
class RecentTransaction(SqlTransaction):
    """The same, with what was read of credentials lately at hand."""

    recent: Recent

    @cached_property
    def sessions(self) -> SessionTable:
        return RecentSessions(self.connection, self.recent)

    @cached_property
    def keys(self) -> KeyTable:
        return RecentKeys(self.connection, self.recent)
