"""A creation whose answer is lost: sent again with its key it is done once, on real servers."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.dying import after_commit, before_commit
from tests.postgres import new_database
from tests.server_process import Server, serving

PASSWORD = "correct horse battery"
ADMIN_KEY = "IDEMPOT1-aaaa-bbbb-cccc-ddddeeee"
REPLAYED = "idempotent-replayed"
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
def dying(folder: Path, moment: Callable[[], None], **settings: str) -> Iterator[Server]:
    """A server that is killed at its first creation."""
    with serving(folder, moment, **settings) as server:
        yield server
        assert server.process.wait(timeout=30) == -9


def create(url: str, way: int, key: str = "") -> httpx.Response:
    path, body = WAYS[way]
    headers = {"Idempotency-Key": f'"{key or way}"', "Prefer": "return=representation"}
    if path != "/users/@self":
        headers["X-Access-Token"] = ADMIN_KEY
    return httpx.post(f"{url}{path}", json=body, headers=headers, timeout=30, trust_env=False)


def everything(server: Server) -> list[int]:
    """Return the numbers of accounts and keys, without those of the first admin."""
    headers = {"X-Access-Token": ADMIN_KEY}
    lists = ("/users", "/users/@self/keys")
    return [len(server.client.get(path, headers=headers).json()) - 1 for path in lists]


def test_a_creation_that_a_kill_cuts_off_is_done_once_and_answered_at_the_next_try(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    def cut_off(moment: Callable[[], None], way: int, there_already: list[int]) -> None:
        with dying(tmp_path, moment, **settings) as server:
            assert everything(server) == there_already
            with pytest.raises(httpx.TransportError):
                create(server.greeting["url"], way)

    cut_off(before_commit, REGISTRATION, [0, 0])
    cut_off(after_commit, REGISTRATION, [0, 0])
    cut_off(after_commit, BY_ADMIN, [1, 0])
    cut_off(after_commit, KEY, [2, 0])
    with serving(tmp_path, **settings) as server:
        url, cut = server.greeting["url"], (REGISTRATION, BY_ADMIN, KEY)
        assert everything(server) == [2, 1]
        again, once_more = [[create(url, way) for way in cut] for _ in range(2)]
        for answer, the_same in zip(again, once_more, strict=True):
            assert (answer.status_code, answer.headers[REPLAYED]) == (201, "true")
            assert answer.content == the_same.content
            assert answer.headers.get("location") == the_same.headers.get("location")
        assert [answer.json().get("username") for answer in again] == ["alice", "bobby", None]
        # A result that was never sent is lost, and the response says so.
        assert [answer.json().get("password", 0) for answer in again] == [0, None, 0]
        assert again[-1].json()["key"] is None
        assert everything(server) == [2, 1]


BATCH = [
    {"jsonrpc": "2.0", "method": method, "params": body, "id": method}
    for method, (_, body) in zip(
        ("users.create", "admin.users.create", "keys.create"), WAYS, strict=True
    )
]


def create_all(url: str) -> httpx.Response:
    headers = {"Idempotency-Key": "batch", "X-Access-Token": ADMIN_KEY}
    path = "/rpc?errors=problem"
    return httpx.post(f"{url}{path}", json=BATCH, headers=headers, timeout=30, trust_env=False)


def test_a_batch_that_a_kill_cuts_off_is_completed_at_the_next_try(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    for moment, there in ((before_commit, [0, 0]), (after_commit, [0, 0])):
        with dying(tmp_path, moment, **settings) as server:
            assert everything(server) == there
            with pytest.raises(httpx.TransportError):
                create_all(server.greeting["url"])
    with serving(tmp_path, **settings) as server:
        assert everything(server) == [1, 0]
        completed, again = [create_all(server.greeting["url"]) for _ in range(2)]
        assert [it.headers[REPLAYED] for it in (completed, again)] == ["true", "true"]
        names = [reply["result"].get("username") for reply in completed.json()]
        assert names == ["alice", "bobby", None]
        for first, second in zip(completed.json(), again.json(), strict=True):
            assert first["result"]["id"] == second["result"]["id"]
        assert everything(server) == [2, 1]


def test_of_many_batches_at_once_each_call_is_done_once(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with (
        serving(tmp_path, **settings, GATEHOUSE_WORKERS="2") as server,
        ThreadPoolExecutor(6) as threads,
    ):
        url = server.greeting["url"]
        answers = list(threads.map(lambda _: create_all(url).json(), range(6)))
        for replies in zip(*answers, strict=True):
            done = [reply["result"] for reply in replies if "result" in reply]
            assert len({result["id"] for result in done}) == 1
            refused = {reply["error"]["data"]["code"] for reply in replies if "error" in reply}
            assert refused <= {"request-in-flight"}
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
