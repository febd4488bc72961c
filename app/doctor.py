"""`gatehouse doctor`: what is sound about an installation, and what is not.

It changes nothing. Each part that may keep it waiting has a deadline, and no line has a password.
"""

import asyncio
import platform
import shutil
import stat
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from urllib.parse import urlsplit

import pysqlite3
from cryptography.hazmat.backends.openssl.backend import backend
from packaging.requirements import Requirement

from app.bootstrap import ADMIN_KEY_FILE, database_of, open_upstreams
from app.config import Settings
from app.domain.audit import EntryFilter
from app.domain.errors import DomainError
from app.domain.ports import PublicKey, Store, Transaction
from app.domain.users import OPERATOR
from app.security.clock import SystemClock
from app.security.ids import time_of
from app.security.signing import KEY_FILE, SigningKeyError, SigningKeyFile
from app.storage.engine import UnsoundSqliteError, require_sound_sqlite
from app.storage.errors import StoreError
from app.storage.sqlite import SqliteFile

# No part is waited for longer.
SECONDS = 5.0
# Beside as much as the database has, which a migration or a copy of it takes again.
FREE_BYTES = 256 * 1024 * 1024
# Clocks that differ by more are not of one time.
APART = timedelta(seconds=5)


class Mark(StrEnum):
    """What is to be done about a finding: nothing, think about it, or put it right."""

    OK = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    mark: Mark
    subject: str
    detail: str


def ok(subject: str, detail: str) -> Finding:
    return Finding(Mark.OK, subject, detail)


def note(subject: str, detail: str) -> Finding:
    return Finding(Mark.NOTE, subject, detail)


def bad(subject: str, detail: str) -> Finding:
    return Finding(Mark.BAD, subject, detail)


async def examine(settings: Settings) -> list[Finding]:
    """Everything that can be told without changing anything."""
    return [
        ok("Python", f"{platform.python_version()}, {backend.openssl_version_text()}"),
        _sqlite(),
        _libraries(),
        *_modes(settings),
        *_admin_key(settings),
        _space(settings),
        *await _in_time("PostgreSQL", _postgresql(settings)),
        *await _in_time("database", _database(settings)),
        *await _in_time("Redis", _redis(settings)),
        *await _in_time("password ranges", _ranges(settings)),
        *await _in_time("upstreams", _upstreams(settings)),
    ]


async def _in_time(subject: str, look: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(SECONDS):
            return await look
    except TimeoutError:
        return [bad(subject, f"no answer within {SECONDS:.0f} seconds")]
    except (StoreError, SigningKeyError, OSError) as error:
        return [bad(subject, str(error))]
    except DomainError as error:
        return [bad(subject, error.detail)]


def _sqlite() -> Finding:
    try:
        require_sound_sqlite()
    except UnsoundSqliteError as error:
        return bad("SQLite", str(error))
    return ok("SQLite", f"{pysqlite3.sqlite_version}, sound in WAL mode")


def _libraries() -> Finding:
    wrong = list(_unfit())
    if wrong:
        return bad("libraries", f"{'; '.join(wrong)}: install the pinned requirements")
    shown = ("fastapi", "uvicorn", "sqlalchemy", "cryptography", "argon2-cffi")
    return ok("libraries", ", ".join(f"{name} {version(name)}" for name in shown))


def _unfit() -> Iterator[str]:
    """What is not as Gatehouse requires it."""
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


def _modes(settings: Settings) -> Iterator[Finding]:
    private = {settings.data_dir: 0o700}
    if settings.sqlite_path is not None:
        private[settings.sqlite_path] = 0o600
    private[settings.data_dir / KEY_FILE] = 0o600
    for path, wanted in private.items():
        yield _mode(path, wanted)


def _mode(path: Path, wanted: int) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return bad(str(path), error.strerror or "cannot be looked at")
    if mode & ~wanted:
        return bad(str(path), f"others may reach it (mode {mode:04o}): chmod {wanted:o}")
    return ok(str(path), f"private (mode {mode:04o})")


def _admin_key(settings: Settings) -> Iterator[Finding]:
    path = settings.data_dir / ADMIN_KEY_FILE
    if path.exists():
        yield note(str(path), "the first admin's key lies there: keep it elsewhere, and remove it")


def _space(settings: Settings) -> Finding:
    path = settings.sqlite_path
    folder = settings.data_dir if path is None else path.parent
    try:
        free = shutil.disk_usage(folder).free
        needed = FREE_BYTES + (path.stat().st_size if path is not None and path.exists() else 0)
    except OSError as error:
        return bad("free space", error.strerror or "cannot be told")
    if free < needed:
        return bad(
            "free space", f"{_size(free)} at {folder}: have {_size(needed)}, a copy needs as much"
        )
    return ok("free space", f"{_size(free)} at {folder}")


def _size(octets: int) -> str:
    mebibytes = octets / 2**20
    return f"{mebibytes:.0f} MiB" if mebibytes < 10_000 else f"{mebibytes / 1024:.0f} GiB"


async def _postgresql(settings: Settings) -> list[Finding]:
    database = database_of(settings)
    if isinstance(database, SqliteFile):
        return []
    from app.storage.examination import facts

    found = await facts(database)
    search = ok("search", "pg_trgm finds a part of a name by an index")
    if not found.finds_parts:
        search = note("search", "without pg_trgm, one for a part of a name reads every row")
    return [
        ok("PostgreSQL", f"{database} answers, version {found.version}"),
        search,
        _clock("clock of PostgreSQL", found.time),
    ]


async def _database(settings: Settings) -> list[Finding]:
    async with database_of(settings).open() as store:
        admin = ok("admin", "there is one")
        if not await store.read(lambda tx: tx.users.has_other_active_admin(OPERATOR.id)):
            admin = bad("admin", "none yet: 'gatehouse serve' makes the first")
        return [
            ok("database", "at the present schema"),
            await _signing_key(settings, store),
            _newest(*await store.scan(_newest_times)),
            admin,
        ]


async def _signing_key(settings: Settings, store: Store) -> Finding:
    subject = "signing key"
    try:
        kid = SigningKeyFile(settings.data_dir, SystemClock()).current().kid
    except FileNotFoundError:
        return note(subject, "there is none yet: the next start makes one")
    published: PublicKey | None = await store.read(lambda tx: tx.signing_keys.find(kid))
    if published is None:
        return note(subject, f"{kid} is not published yet: the next start does that")
    if published.retired_at is not None:
        return bad(subject, f"{kid} is retired: 'gatehouse signing-keys rotate' makes another")
    return ok(subject, f"{kid}, published")


def _newest_times(tx: Transaction) -> list[datetime]:
    """When the last entry of the trail and the last account were made."""
    entries = tx.audit.page(EntryFilter(), None, 1)
    account = tx.users.newest_id()
    return [*(entry.at for entry in entries), *([time_of(account)] if account else [])]


def _newest(*times: datetime) -> Finding:
    """Whether anything was written later than now."""
    now = SystemClock().now()
    newest = max(times, default=now)
    if newest - now > APART:
        return bad("clock", f"{now:%FT%TZ}, but something was written at {newest:%FT%TZ}")
    return ok("clock", f"{now:%FT%TZ}, later than all that was written")


def _clock(subject: str, there: datetime) -> Finding:
    apart = abs(there - SystemClock().now())
    if apart > APART:
        return bad(subject, f"{there:%FT%TZ}, {apart.total_seconds():.0f} seconds from ours")
    return ok(subject, "agrees with ours")


async def _redis(settings: Settings) -> list[Finding]:
    if settings.redis_url is None:
        return []
    from app.security.redis_throttle import server_facts

    parts = urlsplit(settings.redis_url)
    version, time = await server_facts(settings.redis_url)
    where = f"{parts.hostname}:{parts.port or 6379}"
    return [ok("Redis", f"{where} answers, version {version}"), _clock("clock of Redis", time)]


async def _ranges(settings: Settings) -> list[Finding]:
    """Whether the range service, where one is configured, knows what every such service knows."""
    async with open_upstreams(settings) as others:
        if others.breached is None:
            return []
        if await others.breached.knows("password"):
            return [ok("password ranges", "the service answers")]
    detail = "no usable answer, or it does not even know 'password' (GATEHOUSE_PASSWORD_RANGE_URL)"
    return [bad("password ranges", detail)]


async def _upstreams(settings: Settings) -> list[Finding]:
    """Whether the chat service and the panel, where they are configured, answer for nobody."""
    async with open_upstreams(settings) as others:
        asked: list[tuple[str, Awaitable[object]]] = []
        if others.chat is not None:
            asked.append(("chat service", others.chat.guilds_of(OPERATOR.id + 1)))
        if others.panel is not None:
            asked.append(("panel", others.panel.look_up_servers(OPERATOR.uuid)))
        return [await _answers(name, question) for name, question in asked]


async def _answers(name: str, question: Awaitable[object]) -> Finding:
    try:
        await question
    except DomainError as error:
        return bad(name, f"{error.detail} The log has the reason.")
    return ok(name, "answers")
