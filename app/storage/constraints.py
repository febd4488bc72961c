"""What an engine's errors stand for: which constraint is broken, and what passes by itself."""

import re

import pysqlite3
from sqlalchemy.exc import DBAPIError, IntegrityError

# SQLite names the columns of a broken constraint, not the constraint.
_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (?P<columns>[\w., ]+)")


def broken_constraint(error: IntegrityError) -> str | None:
    """The name of the unique constraint that `error` reports, as `tables.py` names it."""
    cause = None if error.orig is None else error.orig.__cause__
    named: str | None = getattr(cause, "constraint_name", None)
    if named is not None:
        return named
    found = _SQLITE_COLUMNS.search(str(error.orig))
    if found is None:
        return None
    columns = [column.split(".") for column in found["columns"].split(", ")]
    return "_".join(["uq", columns[0][0], *(column[1] for column in columns)])


# SQLite reports mistakes of ours in the same class (sqlite.org/rescode.html).
_PASSING = {
    pysqlite3.SQLITE_BUSY,
    pysqlite3.SQLITE_LOCKED,
    pysqlite3.SQLITE_NOMEM,
    pysqlite3.SQLITE_READONLY,
    pysqlite3.SQLITE_IOERR,
    pysqlite3.SQLITE_FULL,
    pysqlite3.SQLITE_CANTOPEN,
}
# Classes of PostgreSQL's (postgresql.org/docs/current/errcodes-appendix.html): connection lost,
# rolled back, out of resources, a lock not to be had, stopped by an operator or a timeout, the
# system's.
_PASSING_CLASSES = {"08", "40", "53", "55", "57", "58"}
# A primary that has become a standby.
_READ_ONLY = "25006"


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's code for what happened; '' where there is none."""
    return getattr(error.orig, "sqlstate", None) or ""


def is_passing(error: DBAPIError) -> bool:
    """Whether the trouble is the machine's and may pass: a lock, a full disk, a lost connection."""
    state = sqlstate(error)
    return (
        error.connection_invalidated
        or state[:2] in _PASSING_CLASSES
        or state == _READ_ONLY
        or getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _PASSING
    )
