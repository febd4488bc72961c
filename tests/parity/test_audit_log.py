"""Nothing changes without an entry of the audit trail, and nothing else leaves one.

Every scenario is driven through each API, and what is stored is compared before and after each
call: so a new operation, which has to be in a scenario, cannot forget the trail.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from app.domain.audit import Door as Entrance
from app.storage.sqlite.engine import sqlite_engine
from app.storage.tables import metadata
from tests.gateway import CLIENT, open_gateway
from tests.parity.apis import Api, Outcome, RestApi, RpcApi
from tests.parity.scenarios import SCENARIOS, Scenario

pytestmark = pytest.mark.anyio

ENTRANCES = {RestApi: Entrance.REST, RpcApi: Entrance.RPC}
# Notes of use, and what may be lost.
PASSING = {"last_seen_at", "last_used_at", "presence"}
# The trail itself, and what is counted of wrong passwords, which is no change of anybody's.
ASIDE = {"audit", "password_attempts"}
# What they give is a token: at a clock that does not move nothing stored tells a new one; or what
# they change is only a count.
GIVES_NOTHING_STORED = {"users.auth", "users.refresh", "admin.users.unlock"}


class Watch:
    """An API that compares what is stored before and after each call."""

    def __init__(self, api: Api, database: Path) -> None:
        self._api = api
        self._engine = sqlite_engine(database)
        self.calls: list[tuple[str, Outcome, bool, list[Any]]] = []

    async def __call__(
        self, operation: str, credential: str | None = None, /, **members: Any
    ) -> Outcome:
        before, trail = self._stored(), self._done()
        outcome = await self._api(operation, credential, **members)
        entries = self._done()[len(trail) :]
        self.calls.append((operation, outcome, self._stored() != before, entries))
        return outcome

    def _stored(self) -> dict[str, list[Any]]:
        with self._engine.connect() as connection:
            return {
                name: [
                    {column: value for column, value in row.items() if column not in PASSING}
                    for row in connection.execute(table.select()).mappings()
                ]
                for name, table in metadata.tables.items()
                if name not in ASIDE
            }

    def _done(self) -> list[Any]:
        audit = metadata.tables["audit"]
        query = audit.select().where(audit.c.outcome == "done").order_by(audit.c.number)
        with self._engine.connect() as connection:
            return list(connection.execute(query))

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture(params=ENTRANCES, ids=ENTRANCES.get)
async def watched(
    request: pytest.FixtureRequest, migrated: Path, tmp_path: Path
) -> AsyncIterator[tuple[Watch, str, Entrance]]:
    copyfile(migrated, tmp_path / "db")
    async with open_gateway(tmp_path / "db") as gateway:
        watch = Watch(request.param(gateway), tmp_path / "db")
        yield watch, gateway.admin_key, ENTRANCES[request.param]
        watch.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_change_has_one_entry_and_nothing_else_has(
    scenario: Scenario, watched: tuple[Watch, str, Entrance]
) -> None:
    watch, admin_key, entrance = watched
    async for _ in scenario(watch, admin_key):
        pass
    for operation, outcome, changed, entries in watch.calls:
        if changed:
            (entry,) = entries
            assert (entry.action, entry.door, entry.address) == (operation, entrance, CLIENT[0])
            assert entry.request_id
            assert entry.target_id
        else:
            assert [entry.action for entry in entries] in ([], [operation])
            assert not entries or operation in GIVES_NOTHING_STORED
        if outcome.slug is not None:
            assert not changed
            assert not entries
