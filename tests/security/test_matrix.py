"""Who may do what: every operation, tried by every kind of caller, at both doors."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from app.domain.policy import Access
from app.rest.door import Route
from app.storage import notes
from app.usecases.registry import OPERATIONS, REST_OPERATIONS
from tests.gateway import open_gateway
from tests.rows import rows
from tests.security.cast import Cast, cast_of
from tests.security.matrix import (
    CHAT_ROWS,
    DONE,
    FORBIDDEN,
    MEMBERS,
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
    """What is written by and by is written when a gateway closes, and in no later caller's turn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notes, "SECONDS", 3600.0)
        yield


@pytest.fixture(scope="module")
async def cast(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cast]:
    database = tmp_path_factory.mktemp("cast") / migrated.name
    copyfile(migrated, database)
    async with open_gateway(database) as opened:
        yield await cast_of(opened)


def test_every_operation_has_a_row_and_every_row_is_of_an_operation() -> None:
    assert {row.split()[0] for row in CHAT_ROWS} == set(OPERATIONS)
    assert {row.split()[0] for row in PANEL_ROWS} == set(REST_OPERATIONS)
    assert MEMBERS.keys() <= ROWS.keys()


async def test_there_is_somebody_for_every_role_and_a_column_for_everybody(cast: Cast) -> None:
    assert cast.parts.keys() == ROLES.keys()
    assert all(row.keys() == set(ROLES.values()) for row in ROWS.values())


@asynccontextmanager
async def _watched(cast: Cast, row: str, role: str) -> AsyncIterator[None]:
    """Whoever is refused changes nothing, nor does who only reads; nobody but admins harms another.

    That nobody committed, the store knows from SQLite itself.
    """
    store, kept = cast.gateway.services.store, await cast.keeps()
    before = store.version()
    yield
    if expected(row, role) in {FORBIDDEN, UNKNOWN} or not _may_change(row):
        assert store.version() == before
    if not row.startswith("admin.") or expected(row, role) is not DONE:
        sessions, keys = await cast.keeps()
        assert kept[0] <= sessions
        assert kept[1] <= keys


def _may_change(row: str) -> bool:
    name, *member = row.split()
    changes = REST_OPERATIONS[name].changes
    return changes in member if isinstance(changes, str) else changes


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", CHAT_ROWS)
async def test_the_chat_door_does_what_the_table_allows(cast: Cast, row: str, role: str) -> None:
    scene = await cast.scene(role)
    async with _watched(cast, row, role):
        assert await scene.by_chat(row) == expected(row, role)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("route", "row"), ASKS)
async def test_the_panel_door_does_what_the_table_allows(
    cast: Cast, route: Route, row: str, role: str
) -> None:
    for prefix in ("", "/api"):
        scene = await cast.scene(role)
        async with _watched(cast, row, role):
            assert await scene.by_panel(route, row, prefix) == expected(row, role)


@pytest.mark.parametrize("role", ROLES)
async def test_from_elsewhere_admins_alone_see_the_metrics(cast: Cast, role: str) -> None:
    scene = await cast.scene(role)
    assert await scene.get("GET", "/metrics") == expected(METRICS, role)


# ------------------------------------------------------------------ what only reads

READING = [row for row in CHAT_ROWS if not _may_change(row)]


@pytest.mark.parametrize("asks", panel_asks(), ids=lambda ask: f"{ask[0].method} {ask[0].path}")
def test_what_only_reads_is_what_takes_get_or_head(asks: tuple[Route, str]) -> None:
    route, row = asks
    assert (route.method in {"GET", "HEAD"}) is not _may_change(row)


@pytest.mark.parametrize("role", ["an admin", "an admin's read key"])
@pytest.mark.parametrize("row", READING)
async def test_what_only_reads_leaves_every_table_as_it_was_but_for_notes_of_use(
    database: Path, row: str, role: str
) -> None:
    async with open_gateway(database) as gateway:
        cast = await cast_of(gateway)
        scene = await cast.scene(role)
        # So that the use is noted, which is all that is to be seen of it.
        gateway.clock.turn(timedelta(minutes=5))
        before = rows(database)
        assert await scene.by_chat(row) == DONE
        for route, asked in panel_asks():
            if asked == row:
                assert await scene.by_panel(route, row, "") == DONE
    # Whatever was still to be written is written by now.
    after = rows(database)
    assert _without_notes(after) == _without_notes(before)
    assert (after != before) is (OPERATIONS[row].access is not Access.ANYONE)


def _without_notes(tables: dict[str, list[Any]]) -> dict[str, list[Any]]:
    noted = {"sessions": "last_seen_at", "access_keys": "last_used_at"}
    return {
        name: [{c: value for c, value in row.items() if c != noted.get(name)} for row in found]
        for name, found in tables.items()
    }
