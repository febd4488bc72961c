"""Answers that are ready: what somebody asked a moment ago and would be told again.

The question 'who am I?' is asked far more often than any other, and a panel that is open asks for
its first page again and again. Such an answer depends on the store, on the credential and, since a
key may be bound to networks, on the address; and on the query, where something may be asked. So to
the same ones it holds until somebody commits, which the store tells, or until time itself changes
it. Both are looked at for every request; no use case has to make anything void.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from app.domain.errors import DomainError
from app.domain.ports import Clock, Store
from app.domain.readings import Reading, cache
from app.usecases.call import Caller
from app.usecases.operation import Operation
from app.usecases.services import Services
from app.wire.inputs import json_of

T = TypeVar("T", bound=bytes)

# About half a kilobyte each, beside what is said.
READY_MAX = 10_000
# Bytes of all that is said, and of one answer.
SAID_MAX = 1024 * 1024
ANSWER_MAX = SAID_MAX // 32
# A longer query is written in an odd way, of which there are too many to be ready for each.
QUERY_MAX = 24


Key = tuple[str, str, str | None, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes over the wire, and the moment from which it has to be asked for again."""

    said: bytes
    until: datetime


class Ready:
    """Performs operations to JSON or headers, and keeps those answers that are `lasting`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store: Store = services.store
        self._clock: Clock = services.clock
        self._version: object = None
        self._answers: dict[Key, Answer] = {}
        self._size = 0
        self._hits = self._misses = 0

    @property
    def seldom_waits(self) -> bool:
        """Whether what only reads is done without waiting for anything, but for rare cases."""
        return self._store.seldom_waits and self._services.throttle.seldom_waits

    def readings(self) -> Iterator[Reading]:
        """How often an answer was ready."""
        return cache("answers", self._hits, self._misses, len(self._answers))

    def find(
        self,
        operation: Operation,
        credential: str | None,
        address: str | None,
        query: bytes = b"",
    ) -> bytes | None:
        """The answer to a lasting operation, where it is ready."""
        if credential is None or not operation.lasting or not self._is_current():
            return None
        answer = self._answers.get((operation.name, credential, address, query))
        if answer is None or self._clock.now() >= answer.until:
            return None
        self._hits += 1
        return answer.said

    async def perform(
        self, operation: Operation, caller: Caller, command: object, query: bytes | None = b""
    ) -> bytes:
        """Do the operation; its view as JSON. Raises the catalogue's errors. See `say`."""
        return await self.say(operation, caller, command, json_of, query)

    async def perform_each(
        self,
        operation: Operation,
        caller: Caller,
        commands: Sequence[object],
        query: bytes | None = b"",
    ) -> Sequence[bytes | DomainError]:
        """Do the operation for each input, in their order: its view as JSON, or what refuses it."""
        if operation.run_each is None:
            return [await self._outcome(operation, caller, it, query) for it in commands]
        call = operation.call(self._services, caller, commands[0])
        outcomes = await operation.run_each(call, commands)
        return [o if isinstance(o, DomainError) else json_of(o) for o in outcomes]

    async def _outcome(
        self, operation: Operation, caller: Caller, command: object, query: bytes | None
    ) -> bytes | DomainError:
        try:
            return await self.perform(operation, caller, command, query)
        except DomainError as error:
            return error

    async def say(
        self,
        operation: Operation,
        caller: Caller,
        command: object,
        said_of: Callable[[Any], T],
        query: bytes | None = b"",
    ) -> T:
        """Do the operation; what is said of its result. Raises the catalogue's errors.

        `command` and `said_of` follow from `query`; None: that is not known.
        """
        call = operation.call(self._services, caller, command)
        if query is None or len(query) > QUERY_MAX or not self._lasts(operation):
            return said_of(await operation.run(call, command))
        self._misses += 1
        before = self._store.version()
        said = said_of(await operation.run(call, command))
        # Between two equal versions nobody committed: the answer is of this very one. What another
        # service said has no version.
        if call.asked_elsewhere:
            return said
        if before is not None and self._is_current() and self._version == before:
            self._keep(operation, caller, query, Answer(said, call.stands_until))
        return said

    def _keep(self, operation: Operation, caller: Caller, query: bytes, answer: Answer) -> None:
        assert caller.credential is not None
        if len(answer.said) > ANSWER_MAX:
            return
        key = operation.name, caller.credential, caller.origin.address, query
        self._forget(key)
        self._size += len(answer.said)
        while len(self._answers) >= READY_MAX or self._size > SAID_MAX:
            self._forget(next(iter(self._answers)))
        self._answers[key] = answer

    def _forget(self, key: Key) -> None:
        if (forgotten := self._answers.pop(key, None)) is not None:
            self._size -= len(forgotten.said)

    def _lasts(self, operation: Operation) -> bool:
        return operation.lasting and (self._store.tells_of_accounts or not operation.lists_accounts)

    def _is_current(self) -> bool:
        """Whether the store can tell its version; answers of an earlier one are forgotten."""
        version = self._store.version()
        if version != self._version:
            self._answers.clear()
            self._size = 0
            self._version = version
        return version is not None
