"""kill -9 while admins disable and enable accounts: everything reaches the panel, in order.

FAULT_KILLS says how many there are over both engines, FAULT_SEED what a failure names.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random, SystemRandom
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.faults.panel import Attempt, FakePanel, Mood, open_panel
from tests.postgres import new_database
from tests.server_process import Server, attend, environment

ROOT = Path(__file__).parents[2]
ENGINES = ["sqlite", "postgresql"]
KILLS = int(os.environ.get("FAULT_KILLS", 6)) // len(ENGINES)
SEED = int(os.environ.get("FAULT_SEED", SystemRandom().getrandbits(32)))
KEY = "FAULTS00-abcd-1234-EFGH-abcdefgh"
ACCOUNTS = 12
ADMINS = 3
SERVERS = 3
# Seconds between kills, and between what admins do.
KILL_AFTER = (0.3, 1.2)
CHANGE_AFTER = (0.0, 0.2)
# Seconds for everything to come to rest in the end.
REST = 90.0


class Directory:
    """A server of two workers on a store, killed and started again."""

    def __init__(self, folder: Path, database: str | None, panel: FakePanel) -> None:
        self._folder = folder
        self._settings = {
            "GATEHOUSE_BOOTSTRAP_ADMIN_KEY": KEY,
            "GATEHOUSE_RATE_LIMITS": "off",
            "GATEHOUSE_WORKERS": "2",
            "GATEHOUSE_PANEL_URL": panel.url,
            "GATEHOUSE_PANEL_TOKEN": "secret-of-the-panel",
            "PYTHONPATH": str(ROOT),
            "WITNESS": panel.url,
            # What a killed process leaves there goes with the test.
            "TMPDIR": str(folder),
            **({} if database is None else {"GATEHOUSE_DATABASE_URL": database}),
        }
        self._running = ExitStack()
        self.server: Server | None = None
        self.killed: dict[int, int] = {}
        self.kills: Counter[str] = Counter()

    def start(self) -> None:
        """Start it; it has a process group of its own, so that all of it can be killed at once."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.hurried", "serve"],
            cwd=self._folder,
            env=environment(self._folder, self._settings),
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._running = ExitStack()
        self._running.callback(_kill_group, process.pid)
        self.server = self._running.enter_context(attend(process))

    def kill_a_worker(self, random: Random, panel: FakePanel) -> None:
        """SIGKILL for one; the parent starts another."""
        assert self.server is not None
        workers = self._workers()
        if not workers:
            return
        pid = random.choice(workers)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self._note(pid, panel)
            self.kills["a worker"] += 1

    def kill_all(self, panel: FakePanel) -> None:
        """SIGKILL for the parent and its workers at once."""
        assert self.server is not None
        workers = self._workers()
        server, self.server = self.server, None
        _kill_group(server.process.pid)
        for pid in workers:
            self._note(pid, panel)
        self._running.close()
        self.kills["all at once"] += 1

    def stop(self) -> int:
        """SIGTERM, and how it ends."""
        assert self.server is not None
        self.server.process.terminate()
        status = self.server.process.wait(timeout=30)
        self._running.close()
        return status

    def _workers(self) -> list[int]:
        assert self.server is not None
        pid = self.server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children]

    def _note(self, pid: int, panel: FakePanel) -> None:
        """After which of the attempts that are on record it was dead for certain."""
        while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
            sleep(0.001)
        self.killed[pid] = len(panel.attempts)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _is_zombie(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


class Admins:
    """Clients that disable and enable accounts, each its own, with or without a response."""

    def __init__(self, directory: Directory, accounts: Sequence[str]) -> None:
        self._directory = directory
        # What each account is, where that is known.
        self._disabled: dict[str, bool | None] = dict.fromkeys(accounts, False)
        self._stopped = Event()
        parts = [accounts[n::ADMINS] for n in range(ADMINS)]
        self._threads = [Thread(target=self._work, args=[part]) for part in parts]
        self.acknowledged: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()

    def __enter__(self) -> "Admins":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _work(self, accounts: Sequence[str]) -> None:
        random = Random(f"{SEED} {accounts[0]}")
        # Each request on a connection of its own, so that any worker may take it.
        limits = httpx.Limits(max_keepalive_connections=0)
        headers = {"X-Access-Token": KEY}
        with httpx.Client(limits=limits, headers=headers, timeout=10, trust_env=False) as client:
            while not self._stopped.wait(random.uniform(*CHANGE_AFTER)):
                if (server := self._directory.server) is not None:
                    self._change(client, server.greeting["url"], random.choice(accounts))

    def _change(self, client: httpx.Client, url: str, account: str) -> None:
        before = self._disabled[account]
        disabled = not before
        self._disabled[account] = None
        try:
            answer = client.put(f"{url}/users/{account}", json={"disabled": disabled})
        except httpx.TransportError:
            self.unanswered[account] += 1
            return
        if answer.status_code == 204:
            self._disabled[account] = disabled
            self.acknowledged[account] += before is not None


def ask(directory: Directory, path: str) -> Any:
    """Return an admin's response from a running server, trying again until it is ready."""
    assert directory.server is not None
    headers = {"X-Access-Token": KEY}

    def once() -> httpx.Response | None:
        assert directory.server is not None
        with suppress(httpx.TransportError):
            return directory.server.client.get(path, headers=headers)
        return None

    return eventually(lambda: (found := once()) and found.status_code == 200 and found, 30)


def eventually(holds: Callable[[], Any], seconds: float) -> Any:
    """Return the value of `holds` as soon as it is true."""
    end = monotonic() + seconds
    while not (found := holds()):
        assert monotonic() < end, "it does not come to rest"
        sleep(0.05)
    return found


def everything(directory: Directory, path: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    while path:
        answer = ask(directory, path)
        found += answer.json()
        path = str(answer.links.get("next", {}).get("url", ""))
    return found


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
        return
    with new_database() as url:
        yield url


@contextmanager
def weather(panel: FakePanel, random: Random) -> Iterator[None]:
    """The panel is down and slow at times."""
    over = Event()

    def change() -> None:
        while not over.wait(random.uniform(0.2, 1.5)):
            panel.mood = random.choices(list(Mood), [5, 2, 3])[0]

    thread = Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        panel.mood = Mood.UP


def sign_up(directory: Directory, panel: FakePanel, number: int) -> tuple[str, str]:
    """The uuid and the snowflake of a new account with servers, of which one is suspended."""
    assert directory.server is not None
    made = directory.server.client.post(
        "/users",
        headers={"X-Access-Token": KEY, "Prefer": "return=representation"},
        json={"username": f"account{number}", "email": f"a{number}@example.com"},
    ).json()
    first = number * SERVERS
    servers = [str(UUID(int=first + n, version=4)) for n in range(SERVERS)]
    panel.servers[made["uuid"]] = {server: server != servers[0] for server in servers}
    return made["uuid"], made["user_id"]


def test_messages_of_the_outbox_outlive_every_kill(tmp_path: Path, database: str | None) -> None:
    random = Random(SEED)
    with open_panel(Random(SEED + 1)) as panel:
        directory = Directory(tmp_path, database, panel)
        directory.start()
        ids = dict(sign_up(directory, panel, number) for number in range(ACCOUNTS))
        at_first = {owner: dict(servers) for owner, servers in panel.servers.items()}
        with Admins(directory, list(ids)) as admins, weather(panel, Random(SEED + 2)):
            while directory.kills.total() < KILLS:
                sleep(random.uniform(*KILL_AFTER))
                if directory.kills.total() % 3 == 1:
                    directory.kill_all(panel)
                    directory.start()
                else:
                    directory.kill_a_worker(random, panel)
        begun = monotonic()
        eventually(lambda: ask(directory, "/outbox?state=waiting&limit=1").json() == [], REST)
        rest = monotonic() - begun
        messages = everything(directory, "/outbox?limit=1000")
        changes = everything(directory, "/audit?action=admin.users.update&limit=1000")
        disabled = {uuid: ask(directory, f"/users/{uuid}").json().get("disabled") for uuid in ids}
        assert directory.stop() == 0

    asked, told = in_order(messages, changes, ids)
    show(directory, panel, admins, messages, rest)
    # Each change that is on record has its message, in the same order, and nothing else has.
    assert told == asked
    # And what was acknowledged is on record.
    assert all(admins.acknowledged[uuid] <= len(asked[uuid]) for uuid in ids)
    assert {message["state"] for message in messages} == {"done"}
    for message, later in pairwise(sorted(messages, key=lambda m: (m["user_id"], m["id"]))):
        if message["user_id"] == later["user_id"]:
            ended, after = (datetime.fromisoformat(m["ended_at"]) for m in (message, later))
            assert ended <= after
    assert_one_at_a_time_in_order(panel.attempts, directory.killed)
    for uuid in ids:
        is_active = not disabled[uuid]
        assert panel.servers[uuid] == {s: on and is_active for s, on in at_first[uuid].items()}


def in_order(
    messages: list[dict[str, Any]], changes: list[dict[str, Any]], ids: dict[str, str]
) -> tuple[dict[str, list[bool]], dict[str, list[bool]]]:
    """By uuid, the changes that are on record and those that the messages speak of."""
    asked: dict[str, list[bool]] = {uuid: [] for uuid in ids}
    told: dict[str, list[bool]] = {uuid: [] for uuid in ids}
    for entry in sorted(changes, key=lambda entry: entry["id"]):
        if "disabled" in entry["changes"]:
            asked[entry["target"]["id"]].append(bool(entry["changes"]["disabled"]["after"]))
    uuids = {user_id: uuid for uuid, user_id in ids.items()}
    for message in sorted(messages, key=lambda message: message["id"]):
        told[uuids[message["user_id"]]].append(message["payload"]["disabled"])
    return asked, told


def assert_one_at_a_time_in_order(attempts: list[Attempt], killed: dict[int, int]) -> None:
    """No attempt began while another of its account was under way, and none out of turn.

    What a killed process had under way is over when it is dead.
    """
    in_progress: dict[int, Attempt] = {}
    newest: dict[int, int] = {}
    for index, attempt in enumerate(attempts):
        other = in_progress.get(attempt.account)
        if attempt.what != "begun":
            if other is not None and other[1:] == attempt[1:]:
                del in_progress[attempt.account]
            continue
        assert other is None or killed.get(other.process, len(attempts)) <= index, (other, attempt)
        assert newest.get(attempt.account, 0) <= attempt.number, attempt
        newest[attempt.account] = attempt.number
        in_progress[attempt.account] = attempt


def show(
    directory: Directory,
    panel: FakePanel,
    admins: Admins,
    messages: list[dict[str, Any]],
    rest: float,
) -> None:
    """The outcome, to be read."""
    done = Counter(attempt.number for attempt in panel.attempts if attempt.what == "done")
    attempts = Counter(attempt.what for attempt in panel.attempts)
    left = Counter(message["state"] for message in messages)
    kills = ", ".join(f"{n} {which}" for which, n in directory.kills.items())
    switched = ", ".join(f"{n} {verb}" for verb, n in sorted(panel.switched.items()))
    print(f"\n{'kills':22}{directory.kills.total()} ({kills}), FAULT_SEED={SEED}")
    print(f"{'changes acknowledged':22}{admins.acknowledged.total()}")
    print(f"{'never answered':22}{admins.unanswered.total()}")
    print(f"{'messages':22}{len(messages)}")
    print(f"{'lost':22}{len(messages) - left['done']}")
    print(f"{'attempts':22}{attempts['begun']}, of which {attempts['failed']} failed")
    print(f"{'done more than once':22}{sum(n - 1 for n in done.values())}")
    print(f"{'the panel was told':22}{switched}")
    print(f"{'at rest after':22}{rest:.1f} s")
