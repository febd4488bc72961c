"""Wrong access keys that come at once: those beyond the limit tell nothing."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from app.domain.credentials import Origin
from app.domain.errors import RateLimited, Unauthenticated
from app.domain.ports.store import Transaction
from app.domain.rate_limits import WRONG_KEYS
from app.operations.framework.context import Caller
from tests.fakes.memory import MemoryStore
from tests.fakes.services import as_admin, do, make_services

pytestmark = pytest.mark.anyio

T = TypeVar("T")
BEYOND = 7


class HeldStore(MemoryStore):
    """Begins no transaction before all who want one are here."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def read(self, work: Callable[[Transaction], T]) -> T:
        await self.is_open.wait()
        return await super().read(work)


@pytest.mark.parametrize(
    ("operation", "members"), [("users.self", {}), ("users.update", {"display_name": "Admin"})]
)
async def test_of_wrong_keys_at_once_those_beyond_the_limit_are_not_looked_at(
    operation: str, members: dict[str, str]
) -> None:
    store = HeldStore()
    services = make_services(store=store)
    right = (await as_admin(services)).credential
    origin = Origin("203.0.113.7")
    store.is_open.clear()
    keys = [
        f"WRNG{number:04}-aaaa-bbbb-cccc-dddddddd" for number in range(WRONG_KEYS.calls + BEYOND)
    ]
    asked = [
        asyncio.ensure_future(do(services, operation, Caller(key, origin), **members))
        for key in [*keys, right]
    ]
    await asyncio.sleep(0)
    store.is_open.set()
    outcomes: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
    found = [type(outcome) for outcome in outcomes]
    assert found[: WRONG_KEYS.calls] == [Unauthenticated] * WRONG_KEYS.calls
    # The right one is among them: who guesses does not learn that it is.
    assert found[WRONG_KEYS.calls :] == [RateLimited] * (BEYOND + 1)
