"""Requirements on the PostgreSQL server, the database and the pooler in front of it."""

from socket import gaierror
from typing import Any

from asyncpg.exceptions import DuplicatePreparedStatementError, InvalidSQLStatementNameError
from sqlalchemy.exc import DBAPIError

from app.storage.errors import StoreError
from app.storage.postgresql.connect import Connector

OLDEST = 13
# How often two sessions query their backend in turn.
ROUNDS = 3
_BACKEND = "SELECT pg_backend_pid(), pg_postmaster_start_time()"
_FACTS = """
    SELECT current_setting('server_encoding') AS encoding, current_schema() AS schema,
           current_setting('server_version_num')::int / 10000 AS version
"""
POOLED = (
    "a pooler gives each transaction another session, but Gatehouse keeps prepared statements, "
    "settings and locks in its sessions. Have the pooler keep sessions apart (PgBouncer: "
    "pool_mode = session), or connect to the server itself"
)


def describe_failure(server: object, error: Exception) -> StoreError:
    """Return the error of a start or command about an error of the driver, with what to do."""
    reason = error.orig if isinstance(error, DBAPIError) else error
    remedy = ""
    if isinstance(reason, ConnectionRefusedError | gaierror):
        remedy = " Start PostgreSQL, or correct GATEHOUSE_DATABASE_URL."
    return StoreError(f"{server}: {reason}.{remedy}")


async def require_fit(connect: Connector) -> None:
    """Raise StoreError, saying what to do, if the database cannot be used.

    Raises also OSError, TimeoutError, asyncpg.PostgresError.
    """
    sessions: list[Any] = []
    try:
        for _ in range(2):
            sessions.append(await connect())
        if await _are_mixed(sessions):
            raise StoreError(f"{connect.url}: {POOLED}.")
        facts = await sessions[0].fetchrow(_FACTS)
    finally:
        for session in sessions:
            session.terminate()
    if facts["encoding"] != "UTF8":
        raise StoreError(
            f"{connect.url}: the database is encoded in {facts['encoding']}, which cannot keep "
            "every name. Create one with ENCODING 'UTF8' TEMPLATE template0."
        )
    if facts["version"] < OLDEST:
        raise StoreError(
            f"{connect.url}: PostgreSQL {facts['version']} is too old, Gatehouse needs {OLDEST} "
            "or newer."
        )
    if facts["schema"] is None:
        raise StoreError(
            f"{connect.url}: the search_path of the user leads to no schema. Create the schema, or "
            "set another one with options=-c search_path=NAME."
        )


async def _are_mixed(sessions: list[Any]) -> bool:
    """Return whether the sessions share a backend, or change theirs."""
    seen: list[set[Any]] = [set() for _ in sessions]
    try:
        for _ in range(ROUNDS):
            for backends, session in zip(seen, sessions, strict=True):
                backends.add(tuple(await session.fetchrow(_BACKEND)))
    except (DuplicatePreparedStatementError, InvalidSQLStatementNameError):
        # A statement was prepared on one backend and run on another.
        return True
    return any(len(backends) > 1 for backends in seen) or len(set.union(*seen)) < len(sessions)
