"""The only place that joins a port to an implementation."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.config import Settings
from app.domain.errors import UsernameTaken
from app.security.clock import SystemClock
from app.security.ids import Snowflakes, SystemRandomness, request_id, worker_number
from app.security.passwords import Argon2Hasher
from app.security.signing import SigningKeyFile, replace_file
from app.security.tokens import JoseTokens
from app.storage.engine import sqlite_engine
from app.storage.migrations import SchemaError, migrate, require_current
from app.storage.sqlite import SqliteStore
from app.usecases.operator import make_first_admin, needs_first_admin
from app.usecases.services import Services

__all__ = ["House", "StartError", "first_admin", "open_house", "prepare_store", "request_id"]

ADMIN_KEY_FILE = "admin-key"


@dataclass(frozen=True, slots=True)
class House:
    """The services, and what of them the operator's commands reach for."""

    services: Services
    signing: SigningKeyFile


class StartError(RuntimeError):
    """The server cannot start; the sentence says why."""


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
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """The services on a prepared store; everything is let go at the end.

    Raises SchemaError where the store is not prepared, StoreError where it cannot be read.
    """
    if not settings.sqlite_path.exists():
        raise SchemaError(
            f"There is no database at {settings.sqlite_path.resolve()}: run 'gatehouse migrate', "
            "or set GATEHOUSE_DATA_DIR to where it is."
        )
    clock = SystemClock()
    async with AsyncExitStack() as closing:
        engine = sqlite_engine(settings.sqlite_path)
        closing.callback(engine.dispose)
        require_current(engine)
        store = SqliteStore(engine)
        closing.push_async_callback(store.close)
        hasher = Argon2Hasher()
        closing.callback(hasher.close)
        worker = closing.enter_context(worker_number(settings.data_dir))
        newest = await store.read(lambda tx: tx.users.newest_id())
        signing = SigningKeyFile(settings.data_dir, clock)
        await signing.ensure(store)
        services = Services(
            store=store,
            hasher=hasher,
            tokens=JoseTokens(signing, store, clock),
            clock=clock,
            ids=Snowflakes(clock, worker, floor=newest),
            randomness=SystemRandomness(),
            rules=settings.rules,
        )
        yield House(services, signing)


async def first_admin(house: House, settings: Settings, *, show: bool) -> str | None:
    """Where there never was an admin, make him; what to tell the operator of his key.

    The key is the configured one; else a new one, to be shown, or else kept in `DATA_DIR` (0600).
    """
    services = house.services
    if not await needs_first_admin(services):
        return None
    key, told, keep = services.randomness.access_key(), "", None
    path = settings.data_dir.resolve() / ADMIN_KEY_FILE
    if settings.bootstrap_admin_key is not None:
        key, told = settings.bootstrap_admin_key, "the key in GATEHOUSE_BOOTSTRAP_ADMIN_KEY"
    elif show:
        told = key
    else:
        told, keep = f"in {path}", lambda: replace_file(path, f"{key}\n".encode())
    try:
        return told if await make_first_admin(services, key, keep) else None
    except UsernameTaken:
        raise StartError(
            "There is no admin yet, and the name of the first is in use: make one with "
            "'gatehouse users create NAME --admin'."
        ) from None
