"""`gatehouse doctor`: what is sound about an installation, and what is not."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysqlite3

from app.bootstrap import open_house
from app.config import Settings
from app.domain.ports import BreachedPasswords
from app.security.signing import KEY_FILE, SigningKeyError
from app.storage.engine import UnsoundSqliteError, require_sound_sqlite
from app.storage.errors import StoreError
from app.usecases.operator import needs_first_admin


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    sound: bool
    subject: str
    detail: str


async def examine(settings: Settings) -> list[Finding]:
    """Everything that can be told without changing anything but a missing signing key."""
    return [_sqlite(), *_modes(settings), *await _store(settings)]


def _sqlite() -> Finding:
    try:
        require_sound_sqlite()
    except UnsoundSqliteError as error:
        return Finding(False, "SQLite", str(error))
    return Finding(True, "SQLite", f"{pysqlite3.sqlite_version}, sound in WAL mode")


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
        return Finding(False, str(path), error.strerror or "cannot be looked at")
    if mode & ~wanted:
        return Finding(False, str(path), f"others may reach it (mode {mode:04o}): chmod {wanted:o}")
    return Finding(True, str(path), f"private (mode {mode:04o})")


async def _store(settings: Settings) -> list[Finding]:
    try:
        async with open_house(settings) as house:
            nobody = await needs_first_admin(house.services)
            kid = house.signing.current().kid
            ranges = await _ranges(house.services.breached)
    except (StoreError, SigningKeyError, OSError) as error:
        return [Finding(False, "database", str(error))]
    admin = "none yet: 'gatehouse serve' makes the first" if nobody else "there is one"
    return [
        Finding(True, "database", "at the present schema"),
        Finding(True, "signing key", kid),
        Finding(not nobody, "admin", admin),
        *ranges,
    ]


async def _ranges(breached: BreachedPasswords | None) -> list[Finding]:
    """Whether the range service, where one is configured, knows what every such service knows."""
    if breached is None:
        return []
    if await breached.knows("password"):
        return [Finding(True, "password ranges", "the service answers")]
    detail = "no usable answer, or it does not even know 'password' (GATEHOUSE_PASSWORD_RANGE_URL)"
    return [Finding(False, "password ranges", detail)]
