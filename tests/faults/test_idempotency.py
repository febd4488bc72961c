"""A creation whose answer is lost: sent again with its key it is done once, on real servers."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.postgres import new_database
from tests.server import Server, attend, environment, serving

PASSWORD = "correct horse battery"
ADMIN_KEY = "IDEMPOT1-aaaa-bbbb-cccc-ddddeeee"
REPLAYED = "idempotent-replayed"
DYING = Path(__file__).with_name("dying.py")
REGISTRATION, BY_ADMIN, KEY = range(3)
WAYS: list[tuple[str, dict[str, Any]]] = [
    ("/users/@self", {"username": "alice", "password": PASSWORD}),
    ("/users", {"username": "bobby", "email": "b@example.com"}),
    ("/users/@self/keys", {"name": "panel"}),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    settings = {"GATEHOUSE_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY, "GATEHOUSE_RATE_LIMITS": "off"}
    if request.param == "sqlite":
        yield settings
        return
    with new_database() as url:
        yield {**settings, "GATEHOUSE_DATABASE_URL": url}


@contextmanager
def dying(folder: Path, moment: str, **settings: str) -> Iterator[Server]:
    """A server that is killed at its first creation."""
    process = subprocess.Popen(
        [sys.executable, str(DYING), moment, "serve"],
        cwd=folder,
        env=environment(folder, settings),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    with attend(process) as server:
        yield server
        assert process.wait(timeout=30) == -9


def create(url: str, way: int, key: str = "") -> httpx.Response:
    path, body = WAYS[way]
    headers = {"Idempotency-Key": f'"{key or way}"', "Prefer": "return=representation"}
    if path != "/users/@self":
        headers["X-Access-Token"] = ADMIN_KEY
    return httpx.post(f"{url}{path}", json=body, headers=headers, timeout=30, trust_env=False)


def everything(server: Server) -> list[int]:
    """How many accounts and keys there are, beside the first admin and his."""
    headers = {"X-Access-Token": ADMIN_KEY}
    lists = ("/users", "/users/@self/keys")
    return [len(server.client.get(path, headers=headers).json()) - 1 for path in lists]


def test_a_creation_that_a_kill_cuts_off_is_done_once_and_answered_at_the_next_try(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    def cut_off(moment: str, way: int, there_already: list[int]) -> None:
        with dying(tmp_path, moment, **settings) as server:
            assert everything(server) == there_already
            with pytest.raises(httpx.TransportError):
                create(server.greeting["url"], way)

    cut_off("before-commit", REGISTRATION, [0, 0])
    cut_off("after-commit", REGISTRATION, [0, 0])
    cut_off("after-commit", BY_ADMIN, [1, 0])
    cut_off("after-commit", KEY, [2, 0])
    with serving(tmp_path, **settings) as server:
        url, cut = server.greeting["url"], (REGISTRATION, BY_ADMIN, KEY)
        assert everything(server) == [2, 1]
        again, once_more = [[create(url, way) for way in cut] for _ in range(2)]
        for answer, the_same in zip(again, once_more, strict=True):
            assert (answer.status_code, answer.headers[REPLAYED]) == (201, "true")
            assert answer.content == the_same.content
            assert answer.headers.get("location") == the_same.headers.get("location")
        assert [answer.json().get("username") for answer in again] == ["alice", "bobby", None]
        # What nobody saw is lost, and the answer says so.
        assert [answer.json().get("password", 0) for answer in again] == [0, None, 0]
        assert again[-1].json()["key"] is None
        assert everything(server) == [2, 1]


def test_of_many_at_once_at_two_workers_or_two_machines_one_is_done(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with ExitStack() as stack:
        shared = "GATEHOUSE_DATABASE_URL" in settings
        folders = [tmp_path / "one", tmp_path / "other"] if shared else [tmp_path]
        extra = {} if shared else {"GATEHOUSE_WORKERS": "2"}
        servers = []
        for folder in folders:
            folder.mkdir(exist_ok=True)
            servers.append(stack.enter_context(serving(folder, **settings, **extra)))
        urls = [server.greeting["url"] for server in servers]
        with ThreadPoolExecutor(6) as threads:
            for way in range(len(WAYS)):
                # Each on a connection of its own, so that any worker may take it.
                answers = list(
                    threads.map(lambda n, way=way: create(urls[n % len(urls)], way), range(6))
                )
                done = [answer for answer in answers if answer.status_code == 201]
                assert [answer.headers.get(REPLAYED) for answer in done].count(None) == 1
                assert len({answer.json()["id"] for answer in done}) == 1
                refused = {answer.json()["code"] for answer in answers if answer not in done}
                assert refused <= {"request-in-flight"}
                assert create(urls[-1], way).headers[REPLAYED] == "true"
        assert everything(servers[0]) == [2, 1]
