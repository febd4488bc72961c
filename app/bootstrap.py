"""The only place that joins a port to an implementation."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.config import Settings
from app.realtime import ProcessPresences
from app.security.clock import SystemClock
from app.security.ids import Snowflakes, SystemRandomness, random_worker, request_id
from app.security.passwords import Argon2Hasher
from app.security.signing import SigningKeyFile, replace_file
from app.security.tokens import JoseTokens
from app.storage.engine import sqlite_engine
from app.storage.migrations import SchemaError, migrate, require_current
from app.storage.unit_of_work import SqliteStore
from app.usecases.operator import make_first_admin, needs_first_admin
from app.usecases.services import Services

__all__ = ["House", "first_admin", "open_house", "prepare_store", "request_id"]

SERVER_WORKER = 0
ADMIN_KEY_FILE = "admin-key"


@dataclass(frozen=True, slots=True)
class House:
    """The services, and what of them the operator's commands reach for."""

    services: Services
    signing: SigningKeyFile


def prepare_data_dir(settings: Settings) -> None:
    """Make `DATA_DIR` (0700) and the database's folder where they are missing. Raises OSError."""
    for folder in (settings.data_dir, settings.sqlite_path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", str(settings.data_dir))


def prepare_store(settings: Settings) -> None:
    """Bring the database to the present schema. Raises SchemaError, UnsoundSqliteError."""
    prepare_data_dir(settings)
    migrate(settings.sqlite_path)


@asynccontextmanager
async def open_house(settings: Settings, *, server: bool = False) -> AsyncIterator[House]:
    """The services on a prepared store; everything is let go at the end.

    `server`: the one long-lived process, whose ids are never those of a command beside it.
    Raises SchemaError where the store is not prepared.
    """
    if not settings.sqlite_path.exists():
        raise SchemaError(
            f"There is no database at {settings.sqlite_path}: run 'gatehouse migrate'."
        )
    engine = sqlite_engine(settings.sqlite_path)
    require_current(engine)
    store = SqliteStore(engine)
    hasher = Argon2Hasher()
    clock = SystemClock()
    signing = SigningKeyFile(settings.data_dir, clock)
    try:
        newest = await store.read(lambda tx: tx.users.newest_id())
        worker = SERVER_WORKER if server else random_worker()
        await signing.ensure(store)
        services = Services(
            store=store,
            hasher=hasher,
            tokens=JoseTokens(signing, store, clock),
            presences=ProcessPresences(),
            clock=clock,
            ids=Snowflakes(clock, worker, floor=newest),
            randomness=SystemRandomness(),
            rules=settings.rules,
        )
        yield House(services, signing)
    finally:
        hasher.close()
        store.close()


async def first_admin(house: House, settings: Settings, *, show: bool) -> str | None:
    """Where there never was an admin, make him; what to tell the operator of his key.

    The key is the configured one; else a new one, to be shown, or else kept in `DATA_DIR` (0600).
    """
    services = house.services
    if not await needs_first_admin(services):
        return None
    if settings.bootstrap_admin_key is not None:
        await make_first_admin(services, settings.bootstrap_admin_key)
        return "the key in GATEHOUSE_BOOTSTRAP_ADMIN_KEY"
    key = services.randomness.access_key()
    if show:
        return key if await make_first_admin(services, key) else None
    path = settings.data_dir.resolve() / ADMIN_KEY_FILE
    made = await make_first_admin(services, key, lambda: replace_file(path, f"{key}\n".encode()))
    return f"in {path}" if made else None
