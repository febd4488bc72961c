"""Which changes make void what somebody may keep of the answers to lasting operations."""

from sqlalchemy import Connection
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import Insert, UpdateBase

from app.storage.tables import (
    AccessKeyRow,
    GuildMemberRow,
    GuildRow,
    SessionRow,
    SigningKeyRow,
    UserRow,
)

# What the lasting operations read. A new row of the first is in no answer that was given before.
_CHANGED = {row.__tablename__ for row in (UserRow, SessionRow, AccessKeyRow, SigningKeyRow)}
_CHANGED_OR_NEW = {row.__tablename__ for row in (GuildRow, GuildMemberRow)}
READ_BY_LASTING = _CHANGED | _CHANGED_OR_NEW
_VOIDS = "gatehouse.voids"


def are_made_by(statement: ClauseElement) -> bool:
    """Whether each row that the statement touches voids an answer that somebody may keep."""
    if not isinstance(statement, UpdateBase):
        return False
    tables = _CHANGED_OR_NEW if isinstance(statement, Insert) else READ_BY_LASTING
    return str(statement.table) in tables


def note(connection: Connection) -> None:
    """The connection's transaction touched such a row."""
    connection.info[_VOIDS] = True


def begins(connection: Connection) -> None:
    """Nothing is void yet."""
    connection.info[_VOIDS] = False


def are_made(connection: Connection) -> bool:
    """Whether what was done since voids an answer that somebody may keep."""
    return bool(connection.info.get(_VOIDS))
