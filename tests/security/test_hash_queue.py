"""Turns and room in the queue for password hashes."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Event

import pytest

from app.domain.errors import Overloaded
from app.domain.request_client import REQUEST_CLIENT, RequestClient
from app.security.hash_queue import HashQueue

pytestmark = pytest.mark.anyio

SIZE = 8
PATIENCE = 5.0


class Jobs:
    """Jobs of clients in several networks, on one thread that a test holds up."""

    def __init__(self, queue: HashQueue) -> None:
        self.queue = queue
        self.computed: list[str] = []
        self.gone: set[str] = set()
        # By name: whose client leaves while the job is computed.
        self.leaves_during: dict[str, str] = {}
        self._may_go = Event()
        self._held = asyncio.ensure_future(queue.run(self._may_go.wait))

    def start(self, network: str, name: str) -> "asyncio.Future[None]":
        """A job of a client in a network, whose name is noted when it is computed."""
        context = copy_context()
        context.run(REQUEST_CLIENT.set, RequestClient(network, lambda: name in self.gone))
        job = self.queue.run(self._compute, name)
        return asyncio.get_running_loop().create_task(job, context=context)

    def _compute(self, name: str) -> None:
        self.gone.add(self.leaves_during.get(name, ""))
        self.computed.append(name)

    async def release(self, *jobs: "asyncio.Future[None]") -> list[object]:
        """Compute what waits; what became of these."""
        self._may_go.set()
        async with asyncio.timeout(PATIENCE):
            await self._held
            return await asyncio.gather(*jobs, return_exceptions=True)


@pytest.fixture
async def jobs() -> AsyncIterator[Jobs]:
    threads = ThreadPoolExecutor(1)
    queue = HashQueue(threads, 1, SIZE, 4)
    jobs = Jobs(queue)
    await asyncio.sleep(0)
    yield jobs
    await jobs.release()
    threads.shutdown()


async def test_networks_take_turns(jobs: Jobs) -> None:
    started = [jobs.start("a", f"a{number}") for number in range(4)]
    await asyncio.sleep(0)
    started += [jobs.start("b", "b0"), jobs.start("c", "c0"), jobs.start("b", "b1")]
    await asyncio.sleep(0)
    await jobs.release(*started)
    # a0 was one ahead of the thread before anyone else came.
    assert jobs.computed == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]


async def test_a_job_whose_client_has_left_is_not_computed(jobs: Jobs) -> None:
    started = [jobs.start("a", f"a{number}") for number in range(4)]
    await asyncio.sleep(0)
    jobs.gone |= {"a0", "a1", "a3"}
    outcomes = await jobs.release(*started)
    # a0 did not have to wait for others.
    assert jobs.computed == ["a0", "a2"]
    assert [type(outcome) for outcome in outcomes[1::2]] == [Overloaded] * 2
    assert jobs.queue.dropped == 2


async def test_a_job_that_is_cancelled_leaves_the_queue(jobs: Jobs) -> None:
    started = [jobs.start("a", f"a{number}") for number in range(4)]
    await asyncio.sleep(0)
    before = jobs.queue.waiting
    started[2].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert jobs.queue.waiting == before - 1
    await jobs.release(*started)
    assert jobs.computed == ["a0", "a1", "a3"]
    assert (jobs.queue.running, jobs.queue.waiting) == (0, 0)


async def test_a_job_that_is_cancelled_ahead_of_the_threads_is_not_computed(jobs: Jobs) -> None:
    started = [jobs.start("a", f"a{number}") for number in range(2)]
    await asyncio.sleep(0)
    started[0].cancel()
    await asyncio.sleep(0)
    await jobs.release(*started)
    assert jobs.computed == ["a1"]


async def test_a_client_that_leaves_before_its_turn_costs_nothing(jobs: Jobs) -> None:
    """No more jobs than threads are ahead of their turn."""
    jobs.leaves_during["a1"] = "a3"
    started = [jobs.start("a", f"a{number}") for number in range(4)]
    await asyncio.sleep(0)
    await jobs.release(*started)
    assert jobs.computed == ["a0", "a1", "a2"]


async def test_a_job_that_is_cancelled_as_it_makes_room_fails_no_other(jobs: Jobs) -> None:
    flood = [jobs.start("a", f"a{number}") for number in range(SIZE - 1)]
    await asyncio.sleep(0)
    other = jobs.start("b", "b0")
    flood[-1].cancel()
    outcomes = await jobs.release(other, *flood)
    assert outcomes[0] is None
    assert jobs.computed == ["a0", "a1", "b0", "a2", "a3", "a4", "a5"]


async def test_clients_that_have_left_make_room(jobs: Jobs) -> None:
    flood = [jobs.start("a", f"a{number}") for number in range(SIZE - 1)]
    await asyncio.sleep(0)
    jobs.gone |= {f"a{number}" for number in range(SIZE - 1)}
    late = jobs.start("a", "late")
    await asyncio.sleep(0)
    await jobs.release(late, *flood)
    assert jobs.computed == ["a0", "late"]
    assert jobs.queue.refused == 0


async def test_the_largest_network_makes_room_for_another(jobs: Jobs) -> None:
    flood = [jobs.start("a", f"a{number}") for number in range(SIZE + 2)]
    await asyncio.sleep(0)
    assert jobs.queue.refused == 3
    other = jobs.start("b", "b0")
    await asyncio.sleep(0)
    assert jobs.queue.running + jobs.queue.waiting == SIZE
    outcomes = await jobs.release(*flood, other)
    assert jobs.computed == ["a0", "a1", "b0", "a2", "a3", "a4", "a5"]
    refused = [isinstance(outcome, Overloaded) for outcome in outcomes]
    assert refused == [False] * 6 + [True] * 4 + [False]


async def test_networks_that_share_the_queue_evenly_keep_their_places(jobs: Jobs) -> None:
    both = [jobs.start("ab"[number % 2], str(number)) for number in range(SIZE - 1)]
    await asyncio.sleep(0)
    late = jobs.start("a", "late")
    await asyncio.sleep(0)
    outcomes = await jobs.release(late, *both)
    assert isinstance(outcomes[0], Overloaded)
    assert len(jobs.computed) == SIZE - 1


async def test_a_network_that_would_have_the_most_makes_no_room_for_itself(jobs: Jobs) -> None:
    names = ["a0", "a1", "a2", "a3", "b0", "b1", "c0"]
    both = [jobs.start(name[0], name) for name in names]
    await asyncio.sleep(0)
    late = jobs.start("b", "late")
    await asyncio.sleep(0)
    outcomes = await jobs.release(late, *both)
    assert [isinstance(outcome, Overloaded) for outcome in outcomes] == [True] + [False] * 7


async def test_an_error_is_the_callers(jobs: Jobs) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    failing = asyncio.ensure_future(jobs.queue.run(fail))
    await asyncio.sleep(0)
    (outcome,) = await jobs.release(failing)
    assert isinstance(outcome, ZeroDivisionError)
    assert (jobs.queue.running, jobs.queue.waiting) == (0, 0)
