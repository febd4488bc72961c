"""What can be asked of a PostgreSQL server itself."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.storage.errors import StoreError
from app.storage.postgres import PostgresServer, postgres_engine

_QUESTION = """
    SELECT current_setting('server_version'), clock_timestamp(),
           EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm')
"""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Its version, what time it is there, and whether it finds a part of a name by an index."""

    version: str
    time: datetime
    finds_parts: bool


async def facts(server: PostgresServer) -> ServerFacts:
    """Ask the server. Raises StoreError, TimeoutError."""
    engine = postgres_engine(server.url, pooled=False)
    try:
        async with engine.connect() as connection:
            version, time, finds_parts = (await connection.execute(text(_QUESTION))).one()
    except DBAPIError as error:
        raise StoreError(f"{server}: {error.orig}.") from error
    except TimeoutError:
        raise
    except OSError as error:
        raise StoreError(f"{server}: {error}.") from error
    finally:
        await engine.dispose()
    return ServerFacts(version, time.astimezone(UTC), finds_parts)
