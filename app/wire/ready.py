"""Answers that are ready: what somebody asked a moment ago and would be told again.

The question 'who am I?' is asked far more often than any other. Its answer depends on the store, on
the credential and, since a key may be bound to networks, on the address. So to the same two it
holds until somebody commits, which the store tells, or until time itself changes it. Both are
looked at for every request; no use case has to make anything void.
"""

from dataclasses import dataclass
from datetime import datetime

from app.domain.ports import Clock, Store
from app.usecases.call import Caller
from app.usecases.operation import Operation
from app.usecases.services import Services
from app.wire import json
from app.wire.inputs import view_of

# About half a kilobyte each.
READY_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A view as JSON, and the moment from which it has to be asked for again."""

    body: bytes
    until: datetime


class Ready:
    """Performs operations to JSON, and keeps the answers of those that are `lasting`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store: Store = services.store
        self._clock: Clock = services.clock
        self._version: object = None
        self._answers: dict[tuple[str, str, str | None], Answer] = {}

    def find(
        self, operation: Operation, credential: str | None, address: str | None
    ) -> bytes | None:
        """The answer to a lasting operation without input, where it is ready."""
        if credential is None or not operation.lasting or not self._is_current():
            return None
        answer = self._answers.get((operation.name, credential, address))
        return answer.body if answer is not None and self._clock.now() < answer.until else None

    async def perform(self, operation: Operation, caller: Caller, command: object) -> bytes:
        """Do the operation; its view as JSON. Raises the catalogue's errors."""
        call = operation.call(self._services, caller, command)
        if not operation.lasting:
            return json.dump(view_of(await operation.run(call, command)))
        before = self._store.version()
        body = json.dump(view_of(await operation.run(call, command)))
        # Between two equal versions nobody committed: the answer is of this very one. What another
        # service said has no version.
        if call.asked_elsewhere:
            return body
        if before is not None and self._is_current() and self._version == before:
            self._keep(operation, caller, Answer(body, call.stands_until))
        return body

    def _keep(self, operation: Operation, caller: Caller, answer: Answer) -> None:
        assert caller.credential is not None
        if len(self._answers) >= READY_MAX:
            del self._answers[next(iter(self._answers))]
        self._answers[operation.name, caller.credential, caller.origin.address] = answer

    def _is_current(self) -> bool:
        """Whether the store can tell its version; answers of an earlier one are forgotten."""
        version = self._store.version()
        if version != self._version:
            self._answers.clear()
            self._version = version
        return version is not None
