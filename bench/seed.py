"""Stores full of accounts, in the real schema: rows in bulk, all with one password's hash."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.bootstrap import first_admin, open_house, prepare_store
from app.config import Settings
from app.domain.credentials import Origin
from app.domain.names import Username, email_key
from app.security.passwords import Argon2Hasher
from app.usecases.call import Caller
from app.usecases.login import Authenticate
from app.usecases.registry import OPERATIONS
from bench import accounts
from bench.accounts import PASSWORD
from bench.engines import Engine

ADMIN_KEY = "BENCHKEY-aaaa-bbbb-cccc-dddddddd"
TOKENS = 64


@dataclass(frozen=True, slots=True)
class Dataset:
    """A store in its data folder, and tokens of its first accounts."""

    engine: Engine
    folder: Path
    size: int
    tokens: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, str]:
        """What a server on this store is started with."""
        return {
            "data_dir": str(self.folder),
            "database_url": self.engine.url(self.folder),
            "bootstrap_admin_key": ADMIN_KEY,
        }


def settings_with(**values: str) -> Settings:
    """The settings with these values. Raises ValidationError for one that cannot be used."""
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def password_hash() -> str:
    """PASSWORD, hashed as Gatehouse does."""

    async def hashed() -> str:
        hasher = Argon2Hasher()
        try:
            return await hasher.hash(PASSWORD)
        finally:
            hasher.close()

    return asyncio.run(hashed())


def seeded(empty: Dataset, hashed: str) -> Dataset:
    """Fill a new store with its accounts and the first admin, and log the first accounts in."""
    engine, folder = empty.engine, empty.folder
    engine.create(folder)
    settings = settings_with(**empty.settings)
    prepare_store(settings)
    engine.fill(folder, "users", _USER_COLUMNS, _users(empty.size, hashed))
    engine.fill(folder, "name_claims", ("skeleton", "user_id"), _claims(empty.size))
    engine.settle(folder)
    tokens = tuple(asyncio.run(_log_in(settings, min(TOKENS, empty.size))))
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
    """Tokens by real logins, each from an address of its own."""
    tokens = []
    auth = OPERATIONS["users.auth"]
    async with open_house(settings) as house:
        await first_admin(house, settings, show=False)
        for n in range(count):
            caller = Caller(origin=Origin(accounts.address(n)))
            command = Authenticate(accounts.username(n), PASSWORD)
            issued = await auth.perform(house.services, caller, command)
            tokens.append(issued.view["token"])
    return tokens
