"""Facts about a PostgreSQL server."""

from dataclasses import dataclass
from datetime import UTC, datetime

from asyncpg.exceptions import InterfaceError, PostgresError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.storage.postgresql import connections, lookups
from app.storage.postgresql.checks import describe_failure, require_fit
from app.storage.postgresql.store import PostgresServer, postgres_engine

_QUESTION = """
    SELECT current_setting('server_version'), clock_timestamp(),
           EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'),
           LEAST(
               current_setting('max_connections')::int
                   - current_setting('superuser_reserved_connections')::int
                   - COALESCE(current_setting('reserved_connections', true)::int, 0),
               (SELECT NULLIF(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
               (SELECT NULLIF(datconnlimit, -1) FROM pg_database
                WHERE datname = current_database())
           ),
           ARRAY(
               SELECT name FROM pg_settings
               WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')
                 AND setting = 'off' ORDER BY name
           )
"""
# The maximum connections of one worker.
PER_WORKER = connections.CONNECTIONS + lookups.CONNECTIONS


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Properties of a server that matter to Gatehouse.

    `finds_parts`: an index finds parts of names. `connections`: how many the database user may
    open, by the limits of server, role and database. `risky`: settings by which a crash loses
    acknowledged writes.
    """

    version: str
    time: datetime
    finds_parts: bool
    connections: int
    risky: list[str]


async def facts(server: PostgresServer) -> ServerFacts:
    """Ask the server. Raises StoreError, TimeoutError."""
    engine = postgres_engine(server.url, for_requests=False)
    try:
        await require_fit(engine.get_execution_options()["gatehouse_connect"])
        async with engine.connect() as connection:
            version, time, *others = (await connection.execute(text(_QUESTION))).one()
    except TimeoutError:
        raise
    except (DBAPIError, OSError, PostgresError, InterfaceError) as error:
        raise describe_failure(server, error) from error
    finally:
        await engine.dispose()
    return ServerFacts(version, time.astimezone(UTC), *others)
