"""Permissions: every operation by every kind of caller, in both APIs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from app.domain.policy import Access
from app.operations.catalog import OPERATIONS, REST_OPERATIONS
from app.rest.operation_route import OperationRoute
from app.settings import Settings
from app.storage import deferred_writes
from app.storage.deferred_writes import DeferredWrites, Work
from tests.gateway import open_gateway
from tests.rows import rows
from tests.security.cast import Cast, Scene, cast_of
from tests.security.matrix import (
    CHAT_ROWS,
    DONE,
    FORBIDDEN,
    MEMBERS,
    NOTHING,
    PANEL_ROWS,
    ROLES,
    ROWS,
    UNKNOWN,
    expected,
    panel_asks,
)

pytestmark = pytest.mark.anyio

ASKS = [pytest.param(*ask, id=f"{ask[0].method} {ask[0].path}: {ask[1]}") for ask in panel_asks()]
METRICS = "GET /metrics"


@pytest.fixture(scope="module", autouse=True)
def notes_wait() -> Iterator[None]:
    """Deferred writes happen when the gateway closes, not during a later caller's turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deferred_writes, "SECONDS", 3600.0)
        yield


@pytest.fixture(scope="module")
async def cast(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cast]:
    database = tmp_path_factory.mktemp("cast") / migrated.name
    copyfile(migrated, database)
    # An admin makes more changes here than one may in so short a time.
    async with open_gateway(database, Settings(rate_limits="off")) as opened:
        yield await cast_of(opened)


@pytest.fixture(scope="module")
def stage(cast: Cast) -> "Stage":
    return Stage(cast)


def test_every_operation_has_a_row_and_every_row_is_of_an_operation() -> None:
    assert {row.split()[0] for row in CHAT_ROWS} == set(OPERATIONS)
    assert {row.split()[0] for row in PANEL_ROWS} == set(REST_OPERATIONS)
    assert MEMBERS.keys() <= ROWS.keys()


async def test_every_role_has_a_caller_and_every_caller_a_column(cast: Cast) -> None:
    assert cast.parts.keys() == ROLES.keys()
    assert all(row.keys() == set(ROLES.values()) for row in ROWS.values())


class Stage:
    """Scenes of a cast, each prepared again once anything has changed."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self._store = cast.gateway.services.store
        self._scenes: dict[str, Scene] = {}
        self._version = self._store.version()

    async def outcome(self, row: str, role: str, ask: Callable[[Scene], Awaitable[str]]) -> str:
        """Make a call as a role, and check that it changes no more than the table allows.

        Refused and read-only calls change nothing; only admins change another account. SQLite
        itself shows that there was no commit.
        """
        scene, before = await self._scene(role), self._version
        kept = await self.cast.keeps() if self._may_harm(row, role) else None
        outcome = await ask(scene)
        if expected(row, role) in {FORBIDDEN, UNKNOWN} or not _may_change(row):
            assert self._store.version() == before, role
        if kept is not None:
            sessions, keys = await self.cast.keeps()
            assert kept[0] <= sessions, role
            assert kept[1] <= keys, role
        return outcome

    async def _scene(self, role: str) -> Scene:
        if self._store.version() != self._version:
            self._scenes.clear()
        if role not in self._scenes:
            self._scenes[role] = await self.cast.scene(role)
        self._version = self._store.version()
        return self._scenes[role]

    def _may_harm(self, row: str, role: str) -> bool:
        succeeds = expected(row, role) in {DONE, NOTHING}
        return succeeds and _may_change(row) and not row.startswith("admin.")


def _may_change(row: str) -> bool:
    name, *member = row.split()
    changes = REST_OPERATIONS[name].changes
    return changes in member if isinstance(changes, str) else changes


@pytest.mark.parametrize("row", CHAT_ROWS)
async def test_rpc_does_what_the_table_allows(stage: Stage, row: str) -> None:
    outcomes = {
        role: await stage.outcome(row, role, lambda scene: scene.by_chat(row)) for role in ROLES
    }
    assert outcomes == {role: expected(row, role) for role in ROLES}


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(("route", "row"), ASKS)
async def test_rest_does_what_the_table_allows(
    stage: Stage, route: OperationRoute, row: str, prefix: str
) -> None:
    outcomes = {
        role: await stage.outcome(row, role, lambda scene: scene.by_panel(route, row, prefix))
        for role in ROLES
    }
    assert outcomes == {role: expected(row, role) for role in ROLES}


async def test_from_elsewhere_admins_alone_see_the_metrics(stage: Stage) -> None:
    for role in ROLES:
        scene = await stage.cast.scene(role)
        assert await scene.get("GET", "/metrics") == expected(METRICS, role), role


# ------------------------------------------------------------------ what only reads

READING = [row for row in CHAT_ROWS if not _may_change(row)]


@pytest.mark.parametrize("asks", panel_asks(), ids=lambda ask: f"{ask[0].method} {ask[0].path}")
def test_only_reads_use_get_or_head(asks: tuple[OperationRoute, str]) -> None:
    route, row = asks
    assert (route.method in {"GET", "HEAD"}) is not _may_change(row)


@pytest.mark.parametrize("role", ["an admin", "an admin's read key"])
async def test_reads_change_no_table_except_for_times_of_use(
    database: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    deferred: list[str] = []
    add = DeferredWrites.add

    def counted(writes: DeferredWrites, about: str, work: Work) -> None:
        deferred.append(about)
        add(writes, about, work)

    monkeypatch.setattr(DeferredWrites, "add", counted)
    async with open_gateway(database) as gateway:
        cast = await cast_of(gateway)
        scene = await cast.scene(role)
        before = rows(database)
        for row in READING:
            # So that the use is noted, which is all that is to be seen of it.
            gateway.clock.turn(timedelta(minutes=5))
            deferred.clear()
            assert await scene.by_chat(row) == DONE
            for route, asked in panel_asks():
                if asked == row:
                    assert await scene.by_panel(route, row, "") == DONE
            assert bool(deferred) is (OPERATIONS[row].access is not Access.ANYONE), row
    # Whatever was still to be written is written by now.
    after = rows(database)
    assert _without_notes(after) == _without_notes(before)
    assert after != before


def _without_notes(tables: dict[str, list[Any]]) -> dict[str, list[Any]]:
    noted = {"sessions": "last_seen_at", "access_keys": "last_used_at"}
    return {
        name: [{c: value for c, value in row.items() if c != noted.get(name)} for row in found]
        for name, found in tables.items()
    }
