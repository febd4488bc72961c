"""`gatehouse doctor`: checks of an installation.

The checks change nothing, each that may block has a deadline, and no output contains a password.
"""

import asyncio
import platform
from collections.abc import Awaitable, Iterator
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography.hazmat.backends.openssl.backend import backend
from packaging.requirements import Requirement

from app.cli.checks.files import check_admin_key, check_free_space, check_modes
from app.cli.checks.findings import Finding, bad, note, ok
from app.cli.system_errors import describe_system_error
from app.container import database_of, open_upstreams
from app.domain.audit import EntryFilter
from app.domain.errors import DomainError
from app.domain.ports.store import Store, Transaction
from app.domain.signing_keys import PublicKey
from app.domain.users import OPERATOR
from app.security.clock import SystemClock
from app.security.ids import snowflake_time
from app.security.key_files import KeyFiles, SigningKeyError
from app.settings import Settings
from app.storage.errors import StoreError
from app.storage.sqlite.library import (
    UnsupportedSqliteError,
    driver,
    has_sound_wal,
    require_supported_sqlite,
)
from app.storage.sqlite.store import SqliteFile

if TYPE_CHECKING:
    from app.storage.postgresql.store import PostgresServer

# Deadline of each check.
SECONDS = 5.0
# Clocks that differ by more do not agree.
CLOCK_TOLERANCE = timedelta(seconds=5)


async def examine(settings: Settings) -> list[Finding]:
    """Run all checks."""
    return [
        ok("Python", f"{platform.python_version()}, {backend.openssl_version_text()}"),
        _check_sqlite(),
        _check_libraries(),
        *check_modes(settings),
        *check_admin_key(settings),
        check_free_space(settings),
        *_check_proxies(settings),
        *await _with_deadline("PostgreSQL", _check_postgresql(settings)),
        *await _with_deadline("database", _check_database(settings)),
        *await _with_deadline("Redis", _check_redis(settings)),
        *await _with_deadline("password ranges", _check_password_ranges(settings)),
        *await _with_deadline("upstreams", _check_upstreams(settings)),
    ]


async def _with_deadline(subject: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(SECONDS):
            return await check
    except TimeoutError:
        return [bad(subject, f"no response within {SECONDS:.0f} seconds")]
    except (StoreError, SigningKeyError) as error:
        return [bad(subject, str(error))]
    except OSError as error:
        return [bad(subject, describe_system_error(error))]
    except DomainError as error:
        return [bad(subject, error.detail)]


def _check_sqlite() -> Finding:
    try:
        require_supported_sqlite()
    except UnsupportedSqliteError as error:
        return bad("SQLite", str(error))
    if has_sound_wal():
        return ok("SQLite", f"{driver.sqlite_version}, without known defects in WAL mode")
    return note(
        "SQLite",
        f"{driver.sqlite_version} has a defect in WAL mode: Gatehouse uses a rollback journal, "
        "so reads wait for commits",
    )


def _check_libraries() -> Finding:
    wrong = list(_find_wrong_libraries())
    if wrong:
        return bad("libraries", f"{'; '.join(wrong)}: install the pinned requirements")
    shown = ("fastapi", "uvicorn", "sqlalchemy", "cryptography", "pynacl")
    return ok("libraries", ", ".join(f"{name} {version(name)}" for name in shown))


def _find_wrong_libraries() -> Iterator[str]:
    """Yield what differs from the requirements of Gatehouse."""
    for requirement in map(Requirement, requires("gatehouse") or ()):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            present = version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement.name} is missing"
            continue
        if not requirement.specifier.contains(present, prereleases=True):
            yield f"{requirement.name} {present} is not {requirement.specifier}"
    try:
        version("passlib")
    except PackageNotFoundError:
        return
    yield "passlib is installed beside libpass, into the same folder"


def _check_proxies(settings: Settings) -> Iterator[Finding]:
    if (advice := settings.proxy_advice) is not None:
        yield note("proxies", advice)
    elif settings.trusted_proxies:
        yield ok("proxies", f"trusted: {', '.join(map(str, settings.trusted_proxies))}")
    yield from (note("networks", advice) for advice in settings.network_advice)


async def _check_postgresql(settings: Settings) -> list[Finding]:
    database = database_of(settings)
    if isinstance(database, SqliteFile):
        return []
    from app.storage.postgresql.server_info import PER_WORKER, facts

    found = await facts(database)
    needed = settings.workers * PER_WORKER
    limit = ok("connections", f"up to {needed}, PostgreSQL allows {found.connections}")
    if needed > found.connections:
        limit = bad(
            "connections",
            f"{settings.workers} workers open up to {needed}, PostgreSQL allows "
            f"{found.connections}: raise max_connections or lower GATEHOUSE_WORKERS",
        )
    search = ok("search", "pg_trgm is installed: a search for a part of a name uses an index")
    if not found.finds_parts:
        search = note("search", "pg_trgm is missing: a search for a part of a name reads every row")
    return [
        ok("PostgreSQL", f"{database} responds, version {found.version}"),
        search,
        limit,
        *[note("durability", f"{name} is off: a crash loses writes") for name in found.risky],
        _check_clock("clock of PostgreSQL", found.time),
    ]


async def _check_writes(database: "SqliteFile | PostgresServer") -> Finding:
    """Insert a row and roll back."""
    try:
        await database.require_writable()
    except StoreError as error:
        return bad("writes", str(error))
    return ok("writes", "a row was inserted and rolled back")


async def _check_database(settings: Settings) -> list[Finding]:
    database = database_of(settings)
    async with database.open() as store:
        admin = ok("admin", "an active admin exists")
        if not await store.read(lambda tx: tx.users.has_other_active_admin(OPERATOR.id)):
            admin = bad("admin", "none yet: 'gatehouse serve' creates the first")
        found = [
            await _check_writes(database),
            await _check_signing_key(settings, store),
            _check_times(*await store.scan(_read_newest_times)),
            admin,
        ]
    # Last, because on SQLite it blocks every other check.
    schema = _check_schema(await database.schema_differences())
    return [ok("database", "has the current schema"), schema, *found]


def _check_schema(differences: list[str]) -> Finding:
    """Compare tables, indexes and triggers with those that the migrations create."""
    if differences:
        return bad("schema", "; ".join(sorted(differences)))
    return ok("schema", "tables, indexes and triggers are as the migrations create them")


async def _check_signing_key(settings: Settings, store: Store) -> Finding:
    subject = "signing key"
    key = KeyFiles(settings.data_dir).current()
    if key is None:
        return note(subject, "none yet: the next start creates one")
    kid = key.kid
    published: PublicKey | None = await store.read(lambda tx: tx.signing_keys.find(kid))
    if published is None:
        return note(subject, f"{kid} is not published yet: the next start publishes it")
    if published.retired_at is not None:
        return bad(subject, f"{kid} is retired: 'gatehouse signing-keys rotate' creates another")
    if published.signs_from > SystemClock().now():
        return note(subject, f"{kid} is published, and signs from {published.signs_from:%FT%TZ}")
    return ok(subject, f"{kid}, published")


def _read_newest_times(tx: Transaction) -> list[datetime]:
    """Return the times of the newest audit entry and of the newest account."""
    entries = tx.audit.list_page(EntryFilter(), None, 1)
    account = tx.users.newest_id()
    return [*(entry.at for entry in entries), *([snowflake_time(account)] if account else [])]


def _check_times(*times: datetime) -> Finding:
    """Compare the newest times in the database with the clock."""
    now = SystemClock().now()
    newest = max(times, default=now)
    if newest - now > CLOCK_TOLERANCE:
        return bad(
            "clock", f"{now:%FT%TZ}, but the newest account or audit entry is of {newest:%FT%TZ}"
        )
    return ok("clock", f"{now:%FT%TZ}, later than the newest account and audit entry")


def _check_clock(subject: str, remote: datetime) -> Finding:
    difference = abs(remote - SystemClock().now())
    if difference > CLOCK_TOLERANCE:
        return bad(subject, f"{remote:%FT%TZ}, {difference.total_seconds():.0f} seconds from ours")
    return ok(subject, "agrees with ours")


async def _check_redis(settings: Settings) -> list[Finding]:
    if settings.redis_url is None:
        return []
    from app.security.redis_rate_limiter import probe_redis

    parts = urlsplit(settings.redis_url)
    where = parts.path if parts.hostname is None else f"{parts.hostname}:{parts.port or 6379}"
    try:
        version, time = await probe_redis(settings.redis_url)
    except TimeoutError:
        raise
    except OSError as error:
        return [bad("Redis", f"{where} cannot count calls: {error}")]
    counts = ok("Redis", f"{where} counts calls, version {version or 'unknown'}")
    return [counts, *([] if time is None else [_check_clock("clock of Redis", time)])]


async def _check_password_ranges(settings: Settings) -> list[Finding]:
    """Look up a password that every range service knows."""
    async with open_upstreams(settings) as upstreams:
        if upstreams.breached is None:
            return []
        if await upstreams.breached.contains("password"):
            return [ok("password ranges", "the service responds")]
    detail = "no valid response, or it does not know 'password' (GATEHOUSE_PASSWORD_RANGE_URL)"
    return [bad("password ranges", detail)]


async def _check_upstreams(settings: Settings) -> list[Finding]:
    """Ask the chat service and the panel about an account that does not exist."""
    async with open_upstreams(settings) as upstreams:
        requests: list[tuple[str, Awaitable[object]]] = []
        if upstreams.chat is not None:
            requests.append(("chat service", upstreams.chat.list_guilds(OPERATOR.id + 1)))
        if upstreams.panel is not None:
            requests.append(("panel", upstreams.panel.fetch_servers(OPERATOR.uuid)))
        return [await _check_response(name, request) for name, request in requests]


async def _check_response(name: str, request: Awaitable[object]) -> Finding:
    try:
        await request
    except DomainError as error:
        return bad(name, f"{error.detail} The log contains the reason.")
    return ok(name, "responds")
