"""Single queries as the domain's `Lookups`, each for all requests that wait for one like it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Column, Dialect, Select, String, any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY

from app.domain.credentials import AccessKey, Session
from app.domain.users import User
from app.runtime.batch_loader import BatchLoader
from app.storage.compiled import CompiledStatement
from app.storage.dialect import Rows
from app.storage.repositories.credentials import (
    KEY_WITH_OWNER,
    SESSION_WITH_OWNER,
    key_of,
    session_of,
)
from app.storage.repositories.names import CLAIMS, taken_of

# The rows by their first column.
_Found = Mapping[str, Sequence[Any]]
FetchRows = Callable[[CompiledStatement, Mapping[str, Any], float], Awaitable[Rows]]


def _by_keys(query: Select[Any]) -> CompiledStatement:
    """Return the query for the rows with one of `keys` in the first column."""
    (key, *_) = query.selected_columns
    assert isinstance(key, Column)
    # Names and ids, which have no NUL, unlike other texts of clients.
    keys = bindparam("keys", type_=ARRAY(String))
    return CompiledStatement(query.where(key == any_(keys)))


_SESSIONS = _by_keys(SESSION_WITH_OWNER)
_KEYS = _by_keys(KEY_WITH_OWNER)
_NAMES = _by_keys(CLAIMS)
_STATEMENTS = (_SESSIONS, _KEYS, _NAMES)
# As many as there are statements: of each, one runs at a time.
CONNECTIONS = len(_STATEMENTS)


class PostgresLookups:
    """Lookups on PostgreSQL."""

    def __init__(self, dialect: Dialect, fetch: FetchRows) -> None:
        """`fetch` runs a statement; it gets the time of the loop since which a caller waits."""
        self._dialect = dialect
        self._fetch = fetch
        self._loaders = {
            statement: BatchLoader(partial(self._load, statement)) for statement in _STATEMENTS
        }

    @property
    def running(self) -> int:
        """The number of callers whose query runs."""
        return sum(loader.loading for loader in self._loaders.values())

    @property
    def waiting(self) -> int:
        """The number of callers whose query has not begun."""
        return sum(loader.waiting for loader in self._loaders.values())

    async def get_session_with_owner(self, session_id: str) -> tuple[Session, User] | None:
        return session_of(await self._find(_SESSIONS, [session_id]))

    async def get_key_with_owner(self, key_id: str) -> tuple[AccessKey, User] | None:
        return key_of(await self._find(_KEYS, [key_id]))

    async def find_taken_names(self, skeletons: Collection[str], now: datetime) -> Collection[str]:
        return taken_of(await self._find(_NAMES, skeletons), now)

    async def close(self, seconds: float) -> None:
        """Wait for all callers, but no longer than so many seconds."""
        await asyncio.gather(*(loader.close(seconds) for loader in self._loaders.values()))

    async def _find(self, statement: CompiledStatement, keys: Collection[str]) -> Rows:
        found = await self._loaders[statement].load(keys)
        return statement.convert(self._dialect, [found[key] for key in keys if key in found])

    async def _load(
        self, statement: CompiledStatement, keys: Collection[str], since: float
    ) -> _Found:
        rows = await self._fetch(statement, {"keys": list(keys)}, since)
        return {row[0]: row for row in rows}
