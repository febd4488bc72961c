"""Calls of a batch that are done together are answered as one after the other would be."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from shutil import copyfile
from typing import Any, TypeVar

import pytest

from app.domain.errors import Overloaded
from app.domain.ports.store import Transaction
from app.domain.rate_limits import CHECKS
from app.operations.catalog import OPERATIONS
from app.storage.postgresql.store import PostgresServer
from tests.fakes.memory import MemoryStore
from tests.fakes.services import PASSWORD
from tests.gateway import Gateway, open_gateway
from tests.postgres import empty, new_database
from tests.rpc.wire import call, notification, refusal, result, send

pytestmark = pytest.mark.anyio

T = TypeVar("T")
CREATE = ["carom", PASSWORD]
# What they look like is one.
TWIN = "carorn"


@pytest.fixture(scope="module")
def urls() -> Iterator[Sequence[str]]:
    with new_database() as one:
        PostgresServer(one).migrate()
        with new_database(one) as other:
            yield one, other


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[Sequence[PostgresServer]]:
    """Two databases on PostgreSQL; none for SQLite."""
    if request.node.callspec.params["pair"] == "sqlite":
        yield ()
        return
    urls = request.getfixturevalue("urls")
    for url in urls:
        asyncio.run(empty(url))
    yield [PostgresServer(url) for url in urls]


@pytest.fixture(params=["sqlite", "postgresql"])
async def pair(
    servers: Sequence[PostgresServer], migrated: Path, tmp_path: Path
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two gateways that know nothing of each other, and where everything happens alike."""
    async with AsyncExitStack() as opened:
        gateways = []
        for number in range(2):
            path = tmp_path / str(number) / "gatehouse.sqlite3"
            path.parent.mkdir()
            copyfile(migrated, path)
            more: Any = {}
            if servers:
                more["store"] = await opened.enter_async_context(servers[number].open())
            gateways.append(await opened.enter_async_context(open_gateway(path, **more)))
        one, other = gateways
        yield one, other


def check(name: object, id: object = 1, **members: Any) -> dict[str, Any]:
    return call("users.check", {"username": name}, id=id, **members)


BATCHES: dict[str, list[Any]] = {
    "checks alone": [check(name, n) for n, name in enumerate(["admin", "nobody", "x", "Nobody"])],
    "before and after a sign-up": [
        check("carom", 1),
        check(TWIN, 2),
        call("users.create", CREATE, id=3),
        check("CAROM", 4),
        check(TWIN, 5),
        check("carom", 6),
    ],
    "a sign-up nobody is told of": [
        check("carom", 1),
        notification("users.create", CREATE),
        check("carom", 2),
    ],
    "with errors in the middle": [
        check("nobody", 1),
        check(7, 2),
        call("users.check", id=3),
        call("users.check", ["a", "b"], id=4),
        check("nobody", []),
        17,
        check("somebody", 5),
        call("users.checks", ["nobody"], id=6),
        {"method": "users.check"},
        check("somebody", 7),
        call("users.check", {"username": "nobody", "more": 1}, id=8),
    ],
    "nothing but errors": [check(7), call("users.check"), check(None)],
    "with notifications": [
        notification("users.check", ["nobody"]),
        check("nobody", 1),
        notification("users.check", [7]),
        notification("users.check", ["nobody"]),
    ],
    "one name twice, and ids of every kind": [check("nobody", id) for id in ("a", None, 1.5, 1, 1)],
    "from several callers": [
        check("nobody", 1, auth="a"),
        check("nobody", 2, auth="b"),
        call("users.self", id=3, auth="b"),
        check("nobody", 4, auth="b"),
        call("users.self", id=5),
    ],
}


async def answered(gateway: Gateway, calls: Sequence[Any]) -> list[Any]:
    """The replies to calls that are sent one after the other."""
    replies = [await send(gateway, one, params={"errors": "problem"}) for one in calls]
    return [_unnamed(reply) for reply in replies if reply is not None]


def _unnamed(reply: Any) -> Any:
    """Without the name that each request has for itself."""
    data = reply.get("error", {}).get("data")
    if isinstance(data, dict):
        del data["request_id"]
    return reply


@pytest.mark.parametrize("calls", BATCHES.values(), ids=BATCHES)
async def test_a_batch_is_answered_like_its_calls(
    pair: tuple[Gateway, Gateway], calls: list[Any]
) -> None:
    one, other = pair
    replies = await send(one, calls, params={"errors": "problem"})
    assert [_unnamed(reply) for reply in replies] == await answered(other, calls)


@pytest.mark.parametrize("room", [0, 1, 5, 7])
async def test_a_batch_is_throttled_at_the_same_call(
    pair: tuple[Gateway, Gateway], room: int
) -> None:
    """Calls with the wrong parameters do not count, notifications and notable errors do."""
    calls = [
        check("nobody", 1),
        check(7, 2),
        check("x", 3),
        notification("users.check", ["nobody"]),
        check("carom", 4),
        call("users.create", CREATE, id=5),
        check(7, 6),
        check("carom", 7),
        check("nobody", 8),
        check("nobody", 9),
        check(7, 10),
    ]
    one, other = pair
    for gateway in pair:
        for _ in range(CHECKS.calls - room):
            assert await gateway.services.rate_limiter.count(CHECKS, "203.0.113.9") == 0
    replies = await send(one, calls, params={"errors": "problem"})
    replies = [_unnamed(reply) for reply in replies]
    assert replies == await answered(other, calls)
    refused = [reply["id"] for reply in replies if "rate-limited" in str(reply)]
    counted = [1, 3, None, 4, 7, 8, 9]
    assert refused == [id for id in counted[room:] if id is not None]


class Shut(MemoryStore):
    """Answers nothing but this error, once there is one."""

    error: Exception | None = None

    async def read(self, work: Callable[[Transaction], T]) -> T:
        if self.error is not None:
            raise self.error
        return await super().read(work)


async def test_only_what_needs_the_store_fails_with_it(database: Path) -> None:
    store = Shut()
    async with open_gateway(database, store=store) as gateway:
        store.error = Overloaded()
        replies = await send(gateway, [check("nobody", 1), check("x", 2), check(7, 3)])
    assert replies[:2] == [refusal(Overloaded().detail, 1), result(False, 2)]
    assert replies[2]["error"]["code"] == -32602


async def test_each_call_gets_an_internal_error(database: Path) -> None:
    store = Shut()
    async with open_gateway(database, store=store) as gateway:
        store.error = RuntimeError()
        calls = [check("nobody", 1), check("somebody", 2)]
        replies = await send(gateway, calls, params={"errors": "problem"})
    assert [(reply["id"], reply["error"]["code"]) for reply in replies] == [
        (1, -32603),
        (2, -32603),
    ]


def test_only_what_changes_nothing_is_done_together() -> None:
    together = [operation for operation in OPERATIONS.values() if operation.run_many]
    assert together
    assert all(operation.changes is False for operation in together)
    assert not any(operation.cacheable for operation in together)
