"""The queue of password hashes: threads, and fair turns for the clients' networks."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from app.domain.errors import Overloaded
from app.domain.request_client import REQUEST_CLIENT, RequestClient

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@dataclass(eq=False, slots=True)
class _Job:
    client: RequestClient
    function: Callable[[], Any]
    outcome: "asyncio.Future[Any]"
    call: "Future[Any] | None" = None


class HashQueue:
    """A queue for CPU-bound functions, on as many threads as there are cores.

    Networks take turns, so that the jobs of one do not delay those of another. At most `size` jobs
    are queued. When it is full, jobs of disconnected clients leave, then the newest of the network
    that has the most. A job is not computed if its client has disconnected before its turn.
    """

    def __init__(self, threads: Executor, cores: int, size: int, retry_after: int) -> None:
        """`threads` has as many threads as `cores`."""
        self._threads = threads
        self._cores = cores
        self._size = size
        self._retry_after = retry_after
        # By network; the first one is next.
        self._waiting: dict[str, deque[_Job]] = {}
        # Running jobs, and one more for each thread, so that no thread waits for the event loop.
        self._submitted = 0
        self.refused = self.dropped = 0

    @property
    def running(self) -> int:
        """The number of running jobs."""
        return min(self._submitted, self._cores)

    @property
    def waiting(self) -> int:
        """The number of jobs that wait for a thread."""
        return self._submitted - self.running + sum(map(len, self._waiting.values()))

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return the result of `function`, for the client in REQUEST_CLIENT.

        Raises its errors, and Overloaded if the queue is full. A call cancelled before its turn
        leaves the queue.
        """
        client = REQUEST_CLIENT.get()
        if self.running + self.waiting >= self._size:
            self._make_room(client.network)
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = _Job(client, lambda: function(*args), outcome)
        if self._has_thread:
            self._submit(job)
        else:
            self._waiting.setdefault(client.network, deque()).append(job)
        try:
            return await outcome
        finally:
            self._remove(job)
            # No effect on a call that has ended.
            if job.call is not None:
                job.call.cancel()

    def _make_room(self, network: str) -> None:
        """Refuse a job. Raises Overloaded if that is the new one, from `network`."""
        for job in [job for jobs in self._waiting.values() for job in jobs]:
            if job.client.is_disconnected():
                self._drop(job)
        if self.running + self.waiting < self._size:
            return
        self.refused += 1
        largest = max(self._waiting.values(), key=len, default=deque())
        if len(largest) <= len(self._waiting.get(network, ())) + 1:
            raise self._overloaded()
        self._refuse(largest[-1])

    @property
    def _has_thread(self) -> bool:
        return self._submitted < 2 * self._cores

    def _submit_next(self) -> None:
        while self._waiting and self._has_thread:
            network = next(iter(self._waiting))
            jobs = self._waiting.pop(network)
            job = jobs.popleft()
            if jobs:
                self._waiting[network] = jobs
            if job.client.is_disconnected():
                self._drop(job)
            else:
                self._submit(job)

    def _submit(self, job: _Job) -> None:
        self._submitted += 1
        job.call = self._threads.submit(job.function)
        ending = asyncio.wrap_future(job.call)
        ending.add_done_callback(partial(self._end, job))

    def _end(self, job: _Job, call: "asyncio.Future[Any]") -> None:
        self._submitted -= 1
        # Only the call of a cancelled request is cancelled, and its job has an outcome.
        if not job.outcome.done():
            if (error := call.exception()) is not None:
                job.outcome.set_exception(error)
            else:
                job.outcome.set_result(call.result())
        self._submit_next()

    def _drop(self, job: _Job) -> None:
        self.dropped += 1
        self._refuse(job)

    def _refuse(self, job: _Job) -> None:
        """Remove a job with Overloaded, unless its request was cancelled at this moment."""
        self._remove(job)
        if not job.outcome.done():
            job.outcome.set_exception(self._overloaded())

    def _remove(self, job: _Job) -> None:
        jobs = self._waiting.get(job.client.network)
        if jobs is not None and job in jobs:
            jobs.remove(job)
            if not jobs:
                del self._waiting[job.client.network]

    def _overloaded(self) -> Overloaded:
        return Overloaded(retry_after=self._retry_after)
