"""Stores with many accounts in the real schema, inserted in bulk with a common password hash."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.container import ensure_first_admin, open_container, prepare_store
from app.domain.credentials import Origin
from app.domain.names import Username, email_key
from app.operations.catalog import OPERATIONS
from app.operations.framework.context import Caller
from app.operations.login import Authenticate
from app.security.passwords import Argon2Hasher
from app.settings import Settings
from bench import accounts
from bench.accounts import PASSWORD
from bench.engines import Engine

ADMIN_KEY = "BENCHKEY-aaaa-bbbb-cccc-dddddddd"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A store in its data folder, with tokens of its first accounts."""

    engine: Engine
    folder: Path
    size: int
    tokens: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server on this store."""
        return {
            "data_dir": str(self.folder),
            "database_url": self.engine.url(self.folder),
            "bootstrap_admin_key": ADMIN_KEY,
        }


def settings_with(**values: str) -> Settings:
    """Return settings with these values. Raises ValidationError for an invalid one."""
    return Settings.model_validate(values)


def password_hash() -> str:
    """Hash PASSWORD as Gatehouse does."""

    async def hashed() -> str:
        hasher = Argon2Hasher()
        try:
            return await hasher.hash(PASSWORD)
        finally:
            hasher.close()

    return asyncio.run(hashed())


def seed(empty: Dataset, hashed: str, sessions: int = 64) -> Dataset:
    """Fill a new store with its accounts and the first admin, and log some accounts in."""
    engine, folder = empty.engine, empty.folder
    engine.create(folder)
    settings = settings_with(**empty.settings)
    prepare_store(settings)
    engine.fill(folder, "users", _USER_COLUMNS, _users(empty.size, hashed))
    engine.fill(folder, "name_claims", ("skeleton", "user_id"), _claims(empty.size))
    engine.settle(folder)
    tokens = tuple(asyncio.run(_log_in(settings, min(sessions, empty.size))))
    return Dataset(engine, folder, empty.size, tokens)


_USER_COLUMNS = (
    "id",
    "uuid",
    "username",
    "display_name",
    "email",
    "email_key",
    "password_hash",
    "admin",
    "disabled",
    "version",
)


def _users(size: int, hashed: str) -> Iterator[tuple[object, ...]]:
    for n in range(size):
        name, email = accounts.username(n), accounts.email(n)
        snowflake, uuid = accounts.snowflake(n), accounts.uuid(n)
        yield snowflake, uuid, name, name, email, email_key(email), hashed, False, False, 1


def _claims(size: int) -> Iterator[tuple[str, int]]:
    for n in range(size):
        yield Username.parse(accounts.username(n)).skeleton, accounts.snowflake(n)


async def _log_in(settings: Settings, count: int) -> list[str]:
    """Return tokens from real logins, each from its own address."""
    tokens = []
    auth = OPERATIONS["users.auth"]
    async with open_container(settings, signs=True) as container:
        await ensure_first_admin(container, settings, show=False)
        for n in range(count):
            caller = Caller(origin=Origin(accounts.address(n)))
            command = Authenticate(accounts.username(n), PASSWORD)
            issued = await auth.perform(container.services, caller, command)
            tokens.append(issued.view["token"])
    return tokens
