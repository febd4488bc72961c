"""The only place that joins a port to an implementation."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import Settings
from app.domain.errors import UsernameTaken
from app.domain.ports import BreachedPasswords, GuildSource, Handler, Panel, Store, Throttle
from app.security.clock import SystemClock
from app.security.ids import (
    WORKERS,
    Snowflakes,
    SystemRandomness,
    at_work,
    request_ids,
    worker_number,
)
from app.security.passwords import Argon2Hasher, hash_threads
from app.security.signing import SigningKeyFile, replace_file
from app.security.throttle import MemoryThrottle
from app.security.tokens import JoseTokens
from app.storage import backups
from app.storage.backups import Contents
from app.storage.sqlite import SqliteFile, SqliteStore
from app.usecases import operator
from app.usecases.operator import Restored, make_first_admin, needs_first_admin
from app.usecases.services import Services
from app.usecases.suspension import SERVERS, panel_handler

if TYPE_CHECKING:
    # Imports that many an installation never uses, and that take their time and memory.
    from httpx import AsyncClient

    from app.storage.postgres import PostgresServer, PostgresStore

__all__ = ["House", "StartError", "first_admin", "open_house", "prepare_store", "request_ids"]

ADMIN_KEY_FILE = "admin-key"


@dataclass(frozen=True, slots=True)
class House:
    """The services, and what of them the operator's commands reach for."""

    services: Services
    signing: SigningKeyFile


class StartError(RuntimeError):
    """The server cannot start; the sentence says why."""


def database_of(settings: Settings) -> "SqliteFile | PostgresServer":
    """Where the accounts are."""
    path = settings.sqlite_path
    if path is not None:
        return SqliteFile(path)
    from app.storage.postgres import PostgresServer

    assert settings.database_url is not None
    return PostgresServer(settings.database_url)


def prepare_data_dir(settings: Settings) -> None:
    """Make `DATA_DIR` (0700) and the database's folder where they are missing. Raises OSError."""
    folders = [settings.data_dir]
    if settings.sqlite_path is not None:
        folders.append(settings.sqlite_path.parent)
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", str(settings.data_dir))


def prepare_store(settings: Settings) -> None:
    """Bring the database to the present schema. Raises StoreError.

    Where an event loop runs already, call this in a thread.
    """
    prepare_data_dir(settings)
    with at_work(settings.data_dir):
        database_of(settings).migrate()


@dataclass(frozen=True, slots=True)
class Restoration:
    """What a restored database has, and what the one before it is called now, if there was one."""

    contents: Contents
    restored: Restored
    kept_as: Path | None


def back_up(settings: Settings, file: Path) -> Contents:
    """Copy the database to `file`, while others write. Raises StoreError, StartError, OSError."""
    return backups.back_up(_file_of(settings, "backup", "pg_dump"), file)


def restore(
    settings: Settings, file: Path, *, replace: bool, keep_credentials: bool
) -> Restoration:
    """Put the backup `file` in the database's place; see `settle_restored` for what comes with it.

    All of it is done beside the database, which is then exchanged at once. Raises StoreError,
    SchemaError, SigningKeyError, OSError; StartError where there is a database and not `replace`,
    or somebody is at work on it.
    """
    path = _file_of(settings, "restore", "pg_restore")
    prepare_data_dir(settings)
    if path.exists() and not replace:
        raise StartError(
            f"There is a database at {path.resolve()}: with --replace the backup takes its place, "
            "and it is kept beside."
        )
    with _alone(settings), backups.incoming(file, path) as draft:
        copy = SqliteFile(draft)
        copy.migrate()
        restored = asyncio.run(_settle(copy, settings, keep_credentials=keep_credentials))
        now = SystemClock().now()
        keep_as = path.with_name(f"{path.name}.replaced-{now:%Y%m%dT%H%M%S.%fZ}")
        contents, had_one = backups.put_in_place(draft, path, keep_as)
    return Restoration(contents, restored, keep_as if had_one else None)


async def settle_restored(settings: Settings, *, keep_credentials: bool) -> Restored:
    """Make a database fit to be served that other tools have restored.

    Raises what `open_house` does; StartError where somebody is at work on it.
    """
    database = database_of(settings)
    with ExitStack() as closing:
        if isinstance(database, SqliteFile):
            prepare_data_dir(settings)
            closing.enter_context(_alone(settings))
        return await _settle(database, settings, keep_credentials=keep_credentials)


async def _settle(
    database: "SqliteFile | PostgresServer", settings: Settings, *, keep_credentials: bool
) -> Restored:
    clock = SystemClock()
    opened: AbstractAsyncContextManager[SqliteStore | PostgresStore] = database.open()
    async with opened as store:
        if not isinstance(store, SqliteStore):
            from app.storage.workers import are_leased

            if await are_leased(store):
                raise StartError(
                    f"A gateway runs on {database}, or was killed within the last minute: stop it, "
                    "and wait for that long."
                )
        kid = await SigningKeyFile(settings.data_dir, clock).ensure(store)
        return await store.write(
            operator.settle_restored(clock, kid, keep_credentials=keep_credentials)
        )


def _file_of(settings: Settings, command: str, tool: str) -> Path:
    """The database's file. Raises StartError where it is on a server, which has its own tools."""
    if settings.sqlite_path is None:
        raise StartError(
            f"'gatehouse {command}' is for SQLite; with PostgreSQL use its own {tool}, as "
            "docs/running.md shows under 'Backup'."
        )
    return settings.sqlite_path


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    try:
        with at_work(settings.data_dir, alone=True):
            yield
    except BlockingIOError:
        raise StartError(
            f"A gateway or another command is at work in {settings.data_dir.resolve()}: stop it "
            "first."
        ) from None


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """The services on a prepared store; everything is let go at the end.

    Raises SchemaError where the store is not prepared, StoreError where it cannot be read.
    """
    clock = SystemClock()
    async with AsyncExitStack() as closing:
        database = database_of(settings)
        opened: AbstractAsyncContextManager[SqliteStore | PostgresStore] = database.open()
        store = await closing.enter_async_context(opened)
        hasher = Argon2Hasher(hash_threads(settings.workers))
        closing.callback(hasher.close)
        worker = await closing.enter_async_context(_worker(store, settings))
        newest = await store.read(lambda tx: tx.users.newest_id())
        signing = SigningKeyFile(settings.data_dir, clock)
        await signing.ensure(store)
        others = await closing.enter_async_context(open_upstreams(settings))
        services = Services(
            store=store,
            hasher=hasher,
            tokens=JoseTokens(signing, store, clock),
            clock=clock,
            ids=Snowflakes(clock, worker, floor=newest),
            randomness=SystemRandomness(),
            throttle=await closing.enter_async_context(_throttle(settings, clock)),
            rules=settings.rules,
            breached=others.breached,
            chat=others.chat,
            panel=others.panel,
            handlers=_handlers(store, others.panel),
        )
        yield House(services, signing)


def _handlers(store: Store, panel: Panel | None) -> Mapping[str, Handler]:
    """Who delivers which kind of message."""
    return {} if panel is None else {SERVERS: panel_handler(store, panel)}


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The other services, where any are configured."""

    breached: BreachedPasswords | None = None
    chat: GuildSource | None = None
    panel: Panel | None = None


@asynccontextmanager
async def open_upstreams(settings: Settings) -> AsyncIterator[Upstreams]:
    """Let go of them at the end."""
    if not (settings.password_range_url or settings.chat_url or settings.panel_url):
        yield Upstreams()
        return
    from app.upstream.client import open_client

    async with open_client() as client:
        yield Upstreams(
            breached=_breached(settings, client),
            chat=_chat(settings, client),
            panel=_panel(settings, client),
        )


def _breached(settings: Settings, client: "AsyncClient") -> BreachedPasswords | None:
    if settings.password_range_url is None:
        return None
    from app.upstream.client import Breaker
    from app.upstream.password_range import PasswordRanges

    return PasswordRanges(client, settings.password_range_url, Breaker())


def _chat(settings: Settings, client: "AsyncClient") -> GuildSource | None:
    if settings.chat_url is None or settings.chat_token is None:
        return None
    from app.upstream.chat import ChatService
    from app.upstream.client import Upstream, bearer, breaker

    return ChatService(Upstream(client, settings.chat_url, bearer(settings.chat_token), breaker()))


def _panel(settings: Settings, client: "AsyncClient") -> Panel | None:
    if settings.panel_url is None or settings.panel_token is None:
        return None
    from app.upstream.client import Upstream, bearer, breaker
    from app.upstream.panel import GenericPanel, PanelService
    from app.upstream.pterodactyl import PterodactylPanel, application_key

    is_generic = settings.panel_dialect == "generic"
    headers = bearer if is_generic else application_key
    upstream = Upstream(client, settings.panel_url, headers(settings.panel_token), breaker())
    return PanelService(GenericPanel(upstream) if is_generic else PterodactylPanel(upstream))


@asynccontextmanager
async def _worker(
    store: "SqliteStore | PostgresStore", settings: Settings
) -> AsyncIterator[Callable[[], int]]:
    """A snowflake worker number that no other live process on the store has."""
    if isinstance(store, SqliteStore):
        with worker_number(settings.data_dir) as number:
            yield lambda: number
    else:
        from app.storage.workers import WorkerLease

        async with WorkerLease(store, next(request_ids()), WORKERS) as lease:
            yield lease.number


@asynccontextmanager
async def _throttle(settings: Settings, clock: SystemClock) -> AsyncIterator[Throttle]:
    """What counts calls by address: every process its part, or with Redis all together."""
    here = MemoryThrottle(clock, settings.workers)
    if settings.redis_url is None or settings.rate_limits == "off":
        yield here
        return
    from app.security.redis_throttle import redis_throttle

    async with redis_throttle(settings.redis_url, here) as shared:
        yield shared


async def first_admin(house: House, settings: Settings, *, show: bool) -> str | None:
    """Where there never was an admin, make him; what to tell the operator of his key.

    The key is the configured one; else a new one, to be shown, or else kept in `DATA_DIR` (0600).
    """
    if not await needs_first_admin(house.services):
        return None
    async with database_of(settings).one_at_a_time():
        return await _first_admin(house.services, settings, show=show)


async def _first_admin(services: Services, settings: Settings, *, show: bool) -> str | None:
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
