"""Each background task recovers from an unexpected error.

`KILLS` has an entry for each of `TASKS`; a missing one fails the test.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import httpx
import pytest
import uvicorn

from app import container
from app.domain.outbox import Delivery
from app.domain.ports.store import Transaction
from app.http import metrics
from app.http.metrics import Metrics
from app.main import create_app
from app.runtime import background_tasks
from app.runtime.background_tasks import TASKS, Supervisor
from app.security import redis_rate_limiter, signing_keys
from app.security.key_files import KEY_FILE, NEXT_FILE
from app.security.rate_limiter import MemoryRateLimiter
from app.security.signing_keys import SigningKeyFile
from app.server import outbox_worker
from app.server.http_server import HttpServer
from app.server.outbox_worker import deliver_outbox
from app.settings import Settings
from app.storage import deferred_writes, housekeeping
from app.storage.deferred_writes import DeferredWrites
from app.storage.postgresql import worker_ids
from app.storage.postgresql.store import PostgresStore, postgres_engine
from app.storage.postgresql.worker_ids import WorkerLease
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import FakeClock
from tests.fakes.services import make_services

pytestmark = pytest.mark.anyio

SECONDS = 10.0


class Unforeseen(Exception):
    """An error of which no code knows."""


class Switch:
    """A dependency of a task: it works and counts its calls, or fails."""

    def __init__(self) -> None:
        self.is_broken = False
        self.worked = 0

    def use(self) -> None:
        if self.is_broken:
            raise Unforeseen
        self.worked += 1


Kill = Callable[[Supervisor, Switch, pytest.MonkeyPatch], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def rate_limiter(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    async def hit(*_: object) -> bool:
        switch.use()
        raise OSError("still lost")

    patch.setattr(redis_rate_limiter, "CHECK_INTERVAL", 0.001)
    here = MemoryRateLimiter(FakeClock())
    opened = redis_rate_limiter.open_redis_rate_limiter("redis://127.0.0.1:1", here, supervisor)
    async with opened as kept:
        patch.setattr(kept._windows, "hit", hit)
        kept._is_unavailable = True
        yield


@asynccontextmanager
async def worker_id_lease(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    class Store:
        async def write(self, _work: object) -> int:
            switch.use()
            return 7

    patch.setattr(worker_ids, "LOOKED_EVERY", 0.001)
    patch.setattr(worker_ids, "RENEWED_EVERY", 0.0)
    store = cast("PostgresStore", Store())
    async with WorkerLease(store, "this process", 1024, supervisor):
        yield


@asynccontextmanager
async def fail_deferred_writes(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    async def write(_work: object) -> None:
        switch.use()

    async def keep_adding() -> None:
        while True:
            pending.add("the same", lambda _tx: None)
            await asyncio.sleep(0.001)

    patch.setattr(deferred_writes, "SECONDS", 0.001)
    pending = DeferredWrites(write, supervisor)
    adding = asyncio.ensure_future(keep_adding())
    yield
    adding.cancel()
    switch.is_broken = False
    await pending.close()


@asynccontextmanager
async def outbox(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    class Store(MemoryStore):
        async def scan(self, work: Callable[[Transaction], Any]) -> Any:
            switch.use()
            return await super().scan(work)

    async def handle(_delivery: Delivery) -> None: ...

    patch.setattr(outbox_worker, "POLL_SECONDS", 0.001)
    services = make_services(store=Store(), handlers={"kind": handle}, background=supervisor)
    async with deliver_outbox(services):
        yield


@asynccontextmanager
async def primary_check(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    async def accepts_writes(_store: PostgresStore) -> bool:
        switch.use()
        return True

    patch.setattr(PostgresStore, "accepts_writes", accepts_writes)
    store = PostgresStore(postgres_engine("postgresql://127.0.0.1:1/nowhere"), Supervisor())
    task = supervisor.start("primary-check", store.check_primary, 0.001)
    yield
    await task.stop()
    await store.close()


@asynccontextmanager
async def expired_rows(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    class Store(MemoryStore):
        async def scan(self, work: Callable[[Transaction], Any]) -> Any:
            switch.use()
            return False

    patch.setattr(housekeeping, "EVERY", 0.001)
    async with housekeeping.delete_ended_rows(Store(), FakeClock(), "this process", supervisor):
        yield


@asynccontextmanager
async def fail_metrics(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    class Part:
        def measurements(self) -> list[Any]:
            switch.use()
            return []

    patch.setattr(metrics, "EVERY_SECONDS", 0.001)
    kept = Metrics()
    kept.watch(Part())
    async with AsyncExitStack() as closing:
        with patch.context() as several:
            several.setattr(metrics, "_are_shared", lambda: True)
            await closing.enter_async_context(kept.kept(supervisor))
        yield
        switch.is_broken = False


@asynccontextmanager
async def connections(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    class Connection:
        transport = cast("Any", type("Transport", (), {"abort": lambda self: None})())

        def close_if_expired(self, _now: float) -> None:
            switch.use()

    async def keep_connecting() -> None:
        while True:
            server.server_state.connections.add(cast("Any", connection))
            await asyncio.sleep(0.001)

    connection = Connection()
    server = HttpServer(uvicorn.Config(""), supervisor)
    task = supervisor.start("connections", server._close_expired, 0.001)
    connecting = asyncio.ensure_future(keep_connecting())
    yield
    connecting.cancel()
    await task.stop()


@asynccontextmanager
async def fail_signing_keys(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    class Store(MemoryStore):
        async def read(self, work: Callable[[Transaction], Any]) -> Any:
            switch.use()
            return await super().read(work)

    patch.setattr(signing_keys, "CHECK_INTERVAL", 0.001)
    with TemporaryDirectory() as folder:
        keys = SigningKeyFile(Path(folder), FakeClock())
        store = Store()
        await keys.ensure(store)
        (Path(folder) / NEXT_FILE).write_bytes((Path(folder) / KEY_FILE).read_bytes())
        async with keys.maintain(store, supervisor):
            yield


@asynccontextmanager
async def clock(
    supervisor: Supervisor, switch: Switch, patch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    async def ask(_store: object) -> datetime:
        switch.use()
        return datetime.now(UTC)

    patch.setattr(worker_ids, "server_time", ask)
    patch.setattr(container, "MEASURED_EVERY", 0.001)
    async with container.open_clock(cast("PostgresStore", None), supervisor):
        yield


KILLS: dict[str, Kill] = {
    "clock": clock,
    "connections": connections,
    "deferred-writes": fail_deferred_writes,
    "housekeeping": expired_rows,
    "metrics": fail_metrics,
    "outbox": outbox,
    "primary-check": primary_check,
    "signing-keys": fail_signing_keys,
    "throttle": rate_limiter,
    "worker-id-lease": worker_id_lease,
}


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("name", TASKS)
async def test_a_task_that_an_unforeseen_error_hits_says_so_and_comes_back(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_tasks, "RETRY_MIN", 0.001)
    monkeypatch.setattr(background_tasks, "RETRY_MAX", 0.002)
    supervisor, switch = Supervisor(), Switch()
    app = create_app(Settings(), make_services(background=supervisor))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        KILLS[name](supervisor, switch, monkeypatch),
    ):
        await until(lambda: switch.worked > 2)
        assert (await client.get("/health/ready")).status_code == 200

        switch.is_broken = True
        await until(lambda: supervisor.failing() == [name])
        answer = await client.get("/health/ready")
        assert answer.status_code == 503
        assert answer.json()["failing"] == [name]
        assert TASKS[name] in answer.json()["detail"]
        metrics = (await client.get("/metrics")).text
        assert f'gatehouse_background_tasks{{state="failing",task="{name}"}} 1.0' in metrics
        assert f'gatehouse_background_failures_total{{task="{name}"}} 0.0' not in metrics

        switch.is_broken = False
        worked = switch.worked
        await until(lambda: switch.worked > worked + 2 and not supervisor.failing())
        assert (await client.get("/health/ready")).status_code == 200
