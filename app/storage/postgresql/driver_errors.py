"""Errors of the driver, where SQLAlchemy does not call it."""

from typing import Any

from asyncpg import InterfaceError, InternalClientError, PostgresError
from asyncpg.exceptions import OutdatedSchemaCacheError
from sqlalchemy.exc import DBAPIError

from app.storage.constraints import is_outdated

DRIVER_ERRORS = (PostgresError, InterfaceError, InternalClientError)


def recognize(error: Exception, driver: Any) -> Exception:
    """Return the error, or that of a lost connection if it is a consequence of one."""
    # asyncpg prepares a statement, then uses the protocol, which may be gone by then.
    if isinstance(error, AttributeError) and driver.is_closed():
        lost: Exception = InterfaceError("the connection was lost")
        return lost
    return error


def translate(error: Exception, *, is_lost: bool) -> DBAPIError:
    """Return SQLAlchemy's error, which says whether its connection is of use any more."""
    translated = DBAPIError("", None, error, connection_invalidated=is_lost)
    if is_outdated(translated) or isinstance(error, OutdatedSchemaCacheError):
        translated.connection_invalidated = True
    return translated
