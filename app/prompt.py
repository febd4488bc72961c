"""Answers that are ready go out at once: no task, no turn of the event loop, no ASGI messages."""

from typing import Any, Protocol, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.transport import Connection


class PromptApplication(Protocol):
    """An application that knows at once what it has ready."""

    def at_once(self, scope: Scope, body: bytes) -> tuple[int, bytes] | None:
        """The answer: its status, and all from its first header on; None: ask it by ASGI."""


class PromptConnection(Connection):
    """One client's connection; a request that came in whole may be answered where it is read."""

    _begun: tuple[RequestResponseCycle, Any] | None = None
    _is_reading = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._at_once = cast("PromptApplication", self.config.loaded_app).at_once

    def data_received(self, data: bytes) -> None:
        """Read what came, then begin with the request that is to be answered next."""
        self._is_reading = True
        try:
            super().data_received(data)
            while self._begun is not None:
                (cycle, app), self._begun = self._begun, None
                if not self._answer(cycle):
                    super()._start_asgi_task(cycle, app)
        finally:
            self._is_reading = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._is_reading:
            self._begun = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def _answer(self, cycle: RequestResponseCycle) -> bool:
        """Whether the answer was ready, and has been sent."""
        if cycle.more_body or not cycle.keep_alive or self.flow.write_paused:
            return False
        if cycle.waiting_for_100_continue or self.transport.is_closing():
            return False
        answer = self._at_once(cast("Scope", cycle.scope), bytes(cycle.body))
        if answer is None:
            return False
        cycle.response_started = cycle.response_complete = True
        fields = [b"%b: %b\r\n" % field for field in cycle.default_headers]
        status, rest = answer
        self.transport.write(b"".join([STATUS_LINE[status], *fields, rest]))
        self.on_response_complete()
        return True
