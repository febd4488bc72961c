"""What an engine's errors stand for: which constraint is broken, and what passes by itself."""

import re

import pysqlite3
from sqlalchemy.exc import IntegrityError, OperationalError

# SQLite names the columns of a broken constraint, not the constraint.
_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (?P<columns>[\w., ]+)")


def broken_constraint(error: IntegrityError) -> str | None:
    """The name of the unique constraint that `error` reports, as `tables.py` names it."""
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


def is_passing(error: OperationalError) -> bool:
    """Whether the trouble is the machine's and may pass: a lock, a full disk, a failing one."""
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _PASSING
