"""The first start and a rotation of the signing key write files and rows that belong together; both
are killed at their statements.

FAULT_STATEMENTS is as in test_migrations.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom

import pytest

from app.domain.signing_keys import PUBLISHED_AHEAD
from app.security.clock import SystemClock
from app.security.signing_keys import SigningKeyFile
from tests.databases import ENGINES, Database, ask, new_store, url_of
from tests.fakes.ports import FakeClock
from tests.faults.processes import command_killed_at
from tests.server_process import serving

SEED = int(os.environ.get("FAULT_SEED", SystemRandom().getrandbits(32)))
EVERY = int(os.environ.get("FAULT_STATEMENTS", "8"))
NEVER = 1_000_000
PASSWORD = "correct horse battery"


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with new_store(request.param, tmp_path) as database:
        yield database


def test_after_first_starts_that_were_killed_there_is_one_admin_with_a_key(
    store: Database, tmp_path: Path
) -> None:
    settings = {"GATEHOUSE_DATABASE_URL": url_of(store)}
    step = Random(SEED).randrange(EVERY)
    kills = 0
    while command_killed_at(tmp_path, settings, ["serve"], step):
        kills, step = kills + 1, step + EVERY
    assert kills
    with serving(tmp_path, **settings) as server:
        key = (tmp_path / "var" / "admin-key").read_text().strip()
        shown = server.client.get("/users", headers={"X-Access-Token": key}).json()
        assert [view["username"] for view in shown.values()] == ["admin"]
        body = {"username": "newcomer", "password": PASSWORD}
        assert server.client.post("/users/@self", json=body).status_code == 201
        token = server.client.post("/users/auth", json=body).json()["token"]
        headers = {"X-Access-Token": token}
        assert server.client.get("/users/@self", headers=headers).status_code == 200
    assert ask(store, "SELECT count(*) FROM access_keys") == [(1,)]
    print(f"\nfirst start: killed at {kills} statements")


def test_a_rotation_that_was_killed_is_done_or_not_when_the_next_server_has_run(
    store: Database, tmp_path: Path
) -> None:
    settings = {"GATEHOUSE_DATABASE_URL": url_of(store)}
    clock = FakeClock(SystemClock().now())
    assert not command_killed_at(tmp_path, settings, ["migrate"], NEVER)

    def signs() -> str:
        """The key that a server signs with, five minutes later."""
        clock.turn(PUBLISHED_AHEAD)
        return asyncio.run(ensure(store, tmp_path / "var", clock))

    used = [signs()]
    step, kills = Random(SEED).randrange(EVERY), -1
    is_killed = True
    while is_killed:
        is_killed = command_killed_at(tmp_path, settings, ["signing-keys", "rotate"], step)
        kills, step = kills + 1, step + EVERY
        kid = signs()
        if kid != used[-1]:
            used.append(kid)
        retired = dict(ask(store, "SELECT kid, retired_at FROM signing_keys"))
        assert retired[kid] is None
        assert None not in [retired[former] for former in used[:-1]]
    assert kills
    assert len(used) > 1
    print(f"\nrotation: killed at {kills} statements")


async def ensure(store: Database, data_dir: Path, clock: FakeClock) -> str:
    signing = SigningKeyFile(data_dir, clock)
    async with store.open() as opened:
        await signing.ensure(opened)
    return signing.current().kid
