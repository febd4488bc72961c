"""Two admins who demote each other at once, through two server processes on one store."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import pytest

from tests.commands import run_here
from tests.postgres import new_database
from tests.server_process import Server, serving

ROUNDS = 12
KEY = "TWOADMIN-aaaa-bbbb-cccc-ddddeeee"


@dataclass(frozen=True, slots=True)
class Admin:
    """One of the two admins: account, key, and the server to send requests to."""

    uuid: str
    key: str
    server: Server

    def set_admin(self, other: "Admin", value: int) -> int:
        """Make the other an admin or none; the status of the answer."""
        headers = {"X-Access-Token": self.key}
        body = {"admin": value}
        url = f"/users/{other.uuid}"
        return self.server.client.put(url, json=body, headers=headers).status_code

    def admins(self) -> set[str]:
        """Return the admins; none where this one may not list them."""
        headers = {"X-Access-Token": self.key}
        answer = self.server.client.get("/users", params={"admin": 1}, headers=headers)
        return set(answer.json()) if answer.status_code == 200 else set()


@pytest.fixture(params=["sqlite", "postgresql"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Admin, Admin]]:
    """The only two admins there are."""
    settings = {"GATEHOUSE_BOOTSTRAP_ADMIN_KEY": KEY}
    with ExitStack() as stack:
        if request.param == "postgresql":
            settings["GATEHOUSE_DATABASE_URL"] = stack.enter_context(new_database())
        one, other = (stack.enter_context(serving(tmp_path, **settings)) for _ in range(2))
        first = Admin(_uuid(one, "admin"), KEY, one)
        made = run_here(tmp_path, "users", "create", "second", "--admin", **settings).out
        key = run_here(tmp_path, "keys", "create", "second", **settings).out.strip()
        yield first, Admin(made.split("\t")[1], key, other)


def _uuid(server: Server, username: str) -> str:
    headers = {"X-Access-Token": KEY}
    found = server.client.get("/users", params={"username": username}, headers=headers)
    (uuid,) = found.json()
    return str(uuid)


def test_two_admins_who_demote_each_other_at_once_leave_one(two: tuple[Admin, Admin]) -> None:
    for _ in range(ROUNDS):
        together = Barrier(2)

        def demote(by: int, together: Barrier = together) -> int:
            together.wait(timeout=30)
            return two[by].set_admin(two[1 - by], 0)

        with ThreadPoolExecutor(2) as threads:
            statuses = list(threads.map(demote, range(2)))
        # The second is refused: no admin any more, or the last one.
        assert sorted(statuses) in ([204, 403], [204, 409])
        winner, loser = two if statuses[0] == 204 else two[::-1]
        assert (winner.admins(), loser.admins()) == ({winner.uuid}, set())
        assert winner.set_admin(loser, 1) == 204
