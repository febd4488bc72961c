"""Dependency wiring: the only module that chooses the implementations of ports."""

import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.database_url import PostgresUrl, is_postgres, parse_sqlite_url
from app.domain.errors import UsernameTaken
from app.domain.ports.services import BreachedPasswords, Clock, Handler, RateLimiter
from app.domain.ports.store import Store
from app.domain.ports.upstreams import GuildSource, Panel
from app.operations.framework.services import Services
from app.operations.operator import FIRST_ADMIN, create_first_admin, needs_first_admin
from app.operations.panel_sync import SERVERS, make_panel_handler
from app.runtime.background_tasks import Supervisor
from app.security.clock import MEASURED_EVERY, DatabaseClock, SystemClock
from app.security.ids import (
    WORKERS,
    Snowflakes,
    SystemRandomness,
    hold_worker_number,
    lock_data_dir,
    request_ids,
)
from app.security.key_files import replace_file
from app.security.passwords import Argon2Hasher, hash_threads
from app.security.rate_limiter import MemoryRateLimiter
from app.security.signing_keys import SigningKeyFile
from app.security.tokens import JoseTokens
from app.settings import DATABASE_NAME, Settings
from app.storage.housekeeping import delete_ended_rows
from app.storage.sqlite.store import SqliteFile, SqliteStore

if TYPE_CHECKING:
    # Not imported at run time, because many installations never use them.
    from httpx import AsyncClient

    from app.storage.postgresql.store import PostgresServer, PostgresStore

__all__ = [
    "Container",
    "StartError",
    "ensure_first_admin",
    "open_container",
    "prepare_store",
    "request_ids",
]

ADMIN_KEY_FILE = "admin-key"


@dataclass(frozen=True, slots=True)
class Container:
    """The services, and the signing key file for the commands of the operator."""

    services: Services
    signing: SigningKeyFile


class StartError(RuntimeError):
    """The server or command cannot start; the message says why and what to do."""


def database_of(settings: Settings) -> "SqliteFile | PostgresServer":
    """Return the database of the accounts."""
    if settings.database_url is None:
        return SqliteFile(settings.data_dir / DATABASE_NAME)
    return database_at(settings.database_url)


def database_at(url: str) -> "SqliteFile | PostgresServer":
    """Return the database at a URL. Raises ValueError."""
    if not is_postgres(url):
        return SqliteFile(parse_sqlite_url(url))
    from app.storage.postgresql.store import PostgresServer

    PostgresUrl.parse(url)
    return PostgresServer(url)


def prepare_data_dir(settings: Settings) -> None:
    """Create `DATA_DIR` (0700) and the folder of the database if missing. Raises OSError."""
    folders = [settings.data_dir]
    if settings.sqlite_path is not None:
        folders.append(settings.sqlite_path.parent)
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(settings.data_dir).f_flag & os.ST_RDONLY
        code = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(code, os.strerror(code), str(settings.data_dir))


def prepare_store(settings: Settings) -> None:
    """Migrate the database to the current schema. Raises StoreError.

    Call this in a thread if an event loop is running.
    """
    prepare_data_dir(settings)
    with lock_data_dir(settings.data_dir):
        database_of(settings).migrate()


@contextmanager
def use_exclusively(settings: Settings) -> Iterator[None]:
    """Keep other processes off the data directory. Raises StartError if one uses it."""
    try:
        with lock_data_dir(settings.data_dir, alone=True):
            yield
    except BlockingIOError:
        raise StartError(
            f"A gateway or another command uses {settings.data_dir.resolve()}. Stop it first."
        ) from None


@asynccontextmanager
async def open_container(settings: Settings, *, signs: bool = False) -> AsyncIterator[Container]:
    """Open the services on a migrated store, and close them at the end.

    With `signs`, for a server, the signing key of the data directory is created and published, and
    expired rows are deleted. Raises SchemaError if the store is not migrated, StoreError if it
    cannot be read.
    """
    randomness = SystemRandomness()
    background = Supervisor(randomness.fraction)
    async with AsyncExitStack() as closing:
        database = database_of(settings)
        opened: AbstractAsyncContextManager[SqliteStore | PostgresStore] = database.open(background)
        store = await closing.enter_async_context(opened)
        clock = await closing.enter_async_context(open_clock(store, background))
        hasher = Argon2Hasher(hash_threads(settings.workers))
        closing.callback(hasher.close)
        worker = await closing.enter_async_context(_hold_worker_number(store, settings, background))
        newest = await store.read(lambda tx: tx.users.newest_id())
        signing = SigningKeyFile(settings.data_dir, clock)
        if signs:
            await closing.enter_async_context(signing.maintain(store, background))
            holder = next(request_ids())
            await closing.enter_async_context(delete_ended_rows(store, clock, holder, background))
        upstreams = await closing.enter_async_context(open_upstreams(settings))
        services = Services(
            store=store,
            hasher=hasher,
            tokens=JoseTokens(signing, store, clock),
            clock=clock,
            ids=Snowflakes(clock, worker, floor=newest),
            randomness=randomness,
            rate_limiter=await closing.enter_async_context(
                _open_rate_limiter(settings, clock, background)
            ),
            rules=settings.rules,
            breached=upstreams.breached,
            chat=upstreams.chat,
            panel=upstreams.panel,
            handlers=_handlers(store, upstreams.panel),
            background=background,
        )
        yield Container(services, signing)


def _handlers(store: Store, panel: Panel | None) -> Mapping[str, Handler]:
    """Return the handlers of messages by kind."""
    return {} if panel is None else {SERVERS: make_panel_handler(store, panel)}


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The configured services beside Gatehouse."""

    breached: BreachedPasswords | None = None
    chat: GuildSource | None = None
    panel: Panel | None = None


@asynccontextmanager
async def open_upstreams(settings: Settings) -> AsyncIterator[Upstreams]:
    """Open the clients of the configured services, and close them at the end."""
    if not (settings.password_range_url or settings.chat_url or settings.panel_url):
        yield Upstreams()
        return
    from app.upstream.client import open_client

    async with open_client() as client:
        yield Upstreams(
            breached=_create_password_ranges(settings, client),
            chat=_create_chat(settings, client),
            panel=_create_panel(settings, client),
        )


def _create_password_ranges(settings: Settings, client: "AsyncClient") -> BreachedPasswords | None:
    if settings.password_range_url is None:
        return None
    from app.upstream.breached_passwords import PasswordRanges
    from app.upstream.client import CircuitBreaker

    return PasswordRanges(client, settings.password_range_url, CircuitBreaker())


def _create_chat(settings: Settings, client: "AsyncClient") -> GuildSource | None:
    if settings.chat_url is None or settings.chat_token is None:
        return None
    from app.upstream.chat import ChatService
    from app.upstream.client import Upstream, bearer, make_breaker

    return ChatService(
        Upstream(client, settings.chat_url, bearer(settings.chat_token), make_breaker())
    )


def _create_panel(settings: Settings, client: "AsyncClient") -> Panel | None:
    if settings.panel_url is None or settings.panel_token is None:
        return None
    from app.upstream.client import Upstream, bearer, make_breaker
    from app.upstream.panel import GenericPanel, PanelService
    from app.upstream.pterodactyl import PterodactylPanel, application_key

    is_generic = settings.panel_dialect == "generic"
    headers = bearer if is_generic else application_key
    upstream = Upstream(client, settings.panel_url, headers(settings.panel_token), make_breaker())
    return PanelService(GenericPanel(upstream) if is_generic else PterodactylPanel(upstream))


@asynccontextmanager
async def _hold_worker_number(
    store: "SqliteStore | PostgresStore", settings: Settings, background: Supervisor
) -> AsyncIterator[Callable[[], int]]:
    """Hold a snowflake worker number that no other live process on the store uses."""
    if isinstance(store, SqliteStore):
        with hold_worker_number(settings.data_dir) as number:
            yield lambda: number
    else:
        from app.storage.postgresql.worker_ids import WorkerLease

        async with WorkerLease(store, next(request_ids()), WORKERS, background) as lease:
            yield lease.number


@asynccontextmanager
async def open_clock(
    store: "SqliteStore | PostgresStore", background: Supervisor
) -> AsyncIterator[Clock]:
    """Open the clock that all processes on the store share. Raises Overloaded."""
    if isinstance(store, SqliteStore):
        yield SystemClock()
        return
    from app.storage.postgresql.worker_ids import server_time

    clock = DatabaseClock(partial(server_time, store))
    await clock.measure()
    task = background.start("clock", clock.watch, MEASURED_EVERY)
    try:
        yield clock
    finally:
        await task.stop()


@asynccontextmanager
async def _open_rate_limiter(
    settings: Settings, clock: Clock, background: Supervisor
) -> AsyncIterator[RateLimiter]:
    """Open the rate limiter: shared with Redis, otherwise with a share for each process."""
    local = MemoryRateLimiter(clock, settings.workers)
    if settings.redis_url is None or settings.rate_limits == "off":
        yield local
        return
    from app.security.redis_rate_limiter import open_redis_rate_limiter

    async with open_redis_rate_limiter(settings.redis_url, local, background) as shared:
        yield shared


async def ensure_first_admin(container: Container, settings: Settings, *, show: bool) -> str | None:
    """Create the first admin if there never was one, and return a hint to the key.

    The key is the configured one, or a new one. A new key is returned if `show`, otherwise stored
    in `DATA_DIR` (0600).
    """
    if not await needs_first_admin(container.services):
        return None
    async with database_of(settings).one_at_a_time():
        return await _create_first_admin(container.services, settings, show=show)


async def _create_first_admin(services: Services, settings: Settings, *, show: bool) -> str | None:
    key, hint, keep = services.randomness.new_access_key(), "", None
    path = settings.data_dir.resolve() / ADMIN_KEY_FILE
    if settings.bootstrap_admin_key is not None:
        key, hint = settings.bootstrap_admin_key, "the key in GATEHOUSE_BOOTSTRAP_ADMIN_KEY"
    elif show:
        hint = key
    else:
        hint, keep = f"in {path}", lambda: replace_file(path, f"{key}\n".encode())
    try:
        return hint if await create_first_admin(services, key, keep) else None
    except UsernameTaken:
        raise StartError(
            f"There is no admin yet, and the username '{FIRST_ADMIN}' is in use. Create "
            "one with 'gatehouse users create NAME --admin'."
        ) from None
