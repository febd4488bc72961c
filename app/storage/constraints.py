"""Classification of the engines' errors: broken constraints and temporary failures."""

from sqlalchemy.exc import DBAPIError, IntegrityError

from app.domain.text import Pattern
from app.storage.sqlite.library import driver

_ERROR_MAX = 1024
# SQLite names the columns of a broken constraint, not the constraint.
_SQLITE_COLUMNS = Pattern(r"UNIQUE constraint failed: (?P<columns>[\w., ]+)", _ERROR_MAX)


def broken_constraint(error: IntegrityError) -> str | None:
    """Return the name of the unique constraint that `error` reports, as in `tables.py`."""
    cause = None if error.orig is None else error.orig.__cause__
    named: str | None = getattr(cause, "constraint_name", None)
    if named is not None:
        return named
    found = _SQLITE_COLUMNS.search(str(error.orig)[:_ERROR_MAX])
    if found is None:
        return None
    columns = [column.split(".") for column in found["columns"].split(", ")]
    return "_".join(["uq", columns[0][0], *(column[1] for column in columns)])


# SQLite reports programming errors in the same class (sqlite.org/rescode.html).
_PASSING = {
    driver.SQLITE_BUSY,
    driver.SQLITE_LOCKED,
    driver.SQLITE_NOMEM,
    driver.SQLITE_READONLY,
    driver.SQLITE_IOERR,
    driver.SQLITE_FULL,
    driver.SQLITE_CANTOPEN,
}
# Classes of PostgreSQL's (postgresql.org/docs/current/errcodes-appendix.html): connection lost,
# login refused, no such database, rolled back, out of resources, object not in the state it has to
# be in, cancelled by an operator or a timeout, system error. A start fails with the second and the
# third; under a running server an operator has changed something, and may change it back.
_PASSING_CLASSES = {"08", "28", "3D", "40", "53", "55", "57", "58"}
# The server is read-only, such as a primary that has become a standby.
_READ_ONLY = "25006"
_NOT_PERMITTED = "42501"
# A prepared statement is outdated, does not exist, or belongs to another session.
_OUTDATED = {"0A000", "26000", "42P05"}


def sqlstate(error: DBAPIError) -> str:
    """Return PostgreSQL's error code, or ''."""
    # SQLAlchemy's error for an outdated statement lacks the code; the driver's has it.
    cause = getattr(error.orig, "__cause__", None)
    found = getattr(error.orig, "sqlstate", None) or getattr(cause, "sqlstate", None)
    return found or ""


def is_passing(error: DBAPIError) -> bool:
    """Return whether an error may be temporary: a lock, a full disk, a lost connection."""
    state = sqlstate(error)
    return (
        error.connection_invalidated
        or state[:2] in _PASSING_CLASSES
        or state in {_READ_ONLY, _NOT_PERMITTED}
        or getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _PASSING
    )


def is_read_only(error: DBAPIError) -> bool:
    """Return whether the server accepts no writes."""
    return sqlstate(error) == _READ_ONLY


def is_outdated(error: DBAPIError) -> bool:
    """Return whether the connection's prepared statements are outdated; a new connection helps."""
    return sqlstate(error) in _OUTDATED
