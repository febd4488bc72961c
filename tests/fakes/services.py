"""Services on fakes, and shortcuts to users through the operations."""

import json
from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from app.domain.ports.services import (
    BreachedPasswords,
    Clock,
    Handler,
    Ids,
    PasswordHasher,
    Randomness,
    RateLimiter,
    Tokens,
)
from app.domain.ports.store import Store, Transaction
from app.domain.ports.upstreams import GuildSource, Panel
from app.domain.rules import Rules
from app.domain.users import User
from app.operations.catalog import OPERATIONS
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import create_first_admin
from app.operations.views.results import Created, RawJson
from app.runtime.background_tasks import Supervisor
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import (
    BREACHED,
    FakeBreachedPasswords,
    FakeClock,
    FakeHasher,
    FakeIds,
    FakeRandomness,
    FakeRateLimiter,
    FakeTokens,
)

PASSWORD = "correct horse battery"
NOBODY = Caller()


class Overrides(TypedDict, total=False):
    """The ports that a test replaces."""

    store: Store
    hasher: PasswordHasher
    tokens: Tokens
    clock: Clock
    ids: Ids
    randomness: Randomness
    rate_limiter: RateLimiter
    rules: Rules
    breached: BreachedPasswords
    chat: GuildSource
    panel: Panel
    handlers: Mapping[str, Handler]
    background: Supervisor


def make_services(**overrides: Unpack[Overrides]) -> Services:
    """Services on fakes, but for what is given."""
    clock = overrides.get("clock") or FakeClock()
    return Services(
        store=overrides.get("store") or MemoryStore(),
        hasher=overrides.get("hasher") or FakeHasher(),
        tokens=overrides.get("tokens") or FakeTokens(),
        clock=clock,
        ids=overrides.get("ids") or FakeIds(),
        randomness=overrides.get("randomness") or FakeRandomness(),
        rate_limiter=overrides.get("rate_limiter") or FakeRateLimiter(clock),
        rules=overrides.get("rules") or Rules(),
        breached=overrides.get("breached") or FakeBreachedPasswords(BREACHED),
        chat=overrides.get("chat"),
        panel=overrides.get("panel"),
        handlers=overrides.get("handlers") or {},
        background=overrides.get("background") or Supervisor(),
    )


async def do(services: Services, name: str, caller: Caller = NOBODY, /, **members: Any) -> Any:
    """Perform the operation called `name`; `members` are those of its input.

    Of what was created, the view: whether it is a repeated one, few tests ask. Of what is JSON
    already, its value.
    """
    operation = OPERATIONS[name]
    result = await operation.perform(services, caller, operation.input(**members))
    if isinstance(result, RawJson):
        return json.loads(result.json)
    return result.view if isinstance(result, Created) else result


async def sign_up(services: Services, username: str, password: str = PASSWORD) -> User:
    """Register, and return the account as it is stored."""
    await do(services, "users.create", username=username, password=password)
    return await account(services, username)


async def log_in(services: Services, username: str, password: str = PASSWORD) -> Caller:
    """A caller with a token of a new session."""
    login = await do(services, "users.auth", username=username, password=password)
    return Caller(credential=login.view["token"])


async def as_user(services: Services, username: str) -> Caller:
    """A user who just signed up and logged in."""
    await sign_up(services, username)
    return await log_in(services, username)


async def as_admin(services: Services) -> Caller:
    """The first admin, `admin`, with an access key."""
    key = services.randomness.new_access_key()
    assert await create_first_admin(services, key)
    return Caller(credential=key)


async def with_key(services: Services, caller: Caller, **members: Any) -> Caller:
    """The same account with a new access key."""
    created = await do(services, "keys.create", caller, **{"name": "test", **members})
    return Caller(credential=created["key"])


async def account(services: Services, username: str) -> User:
    """The account with this name, as it is stored."""

    def find(tx: Transaction) -> User:
        user = tx.users.get_by_username(username.lower())
        assert user is not None
        return user

    return await services.store.read(find)
