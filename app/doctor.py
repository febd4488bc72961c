"""`gatehouse doctor`: what is sound about an installation, and what is not."""

import stat
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pysqlite3

from app.bootstrap import open_house
from app.config import Settings
from app.domain.errors import DomainError
from app.domain.ports import BreachedPasswords
from app.domain.users import OPERATOR
from app.security.signing import KEY_FILE, SigningKeyError
from app.storage.engine import UnsoundSqliteError, require_sound_sqlite
from app.storage.errors import StoreError
from app.usecases.operator import needs_first_admin
from app.usecases.services import Services


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
            others = [
                *await _ranges(house.services.breached),
                *await _upstreams(house.services),
            ]
    except (StoreError, SigningKeyError, OSError) as error:
        return [Finding(False, "database", str(error))]
    admin = "none yet: 'gatehouse serve' makes the first" if nobody else "there is one"
    return [
        Finding(True, "database", "at the present schema"),
        Finding(True, "signing key", kid),
        Finding(not nobody, "admin", admin),
        *others,
    ]


async def _ranges(breached: BreachedPasswords | None) -> list[Finding]:
    """Whether the range service, where one is configured, knows what every such service knows."""
    if breached is None:
        return []
    if await breached.knows("password"):
        return [Finding(True, "password ranges", "the service answers")]
    detail = "no usable answer, or it does not even know 'password' (GATEHOUSE_PASSWORD_RANGE_URL)"
    return [Finding(False, "password ranges", detail)]


async def _upstreams(services: Services) -> list[Finding]:
    """Whether the chat service and the panel, where they are configured, answer for nobody."""
    asked: list[tuple[str, Awaitable[object]]] = []
    if services.chat is not None:
        asked.append(("chat service", services.chat.guilds_of(OPERATOR.id + 1)))
    if services.panel is not None:
        asked.append(("panel", services.panel.look_up_servers(OPERATOR.uuid)))
    return [await _answers(name, question) for name, question in asked]


async def _answers(name: str, question: Awaitable[object]) -> Finding:
    try:
        await question
    except DomainError as error:
        return Finding(False, name, f"{error.detail} The log has the reason.")
    return Finding(True, name, "answers")
