"""A server is killed at a moment of its first creation."""

import os
import signal
from typing import Any

from app.operations.framework.idempotency import IdempotentRequest
from app.rest import responses, users
from app.rpc import exchange


def _die(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def before_commit() -> None:
    """Let the process be killed when all is written but the commit."""
    keep = IdempotentRequest.run

    def keep_and_die(once: Any, tx: Any, create: Any) -> Any:
        keep(once, tx, create)
        _die()

    IdempotentRequest.run = keep_and_die  # type: ignore[method-assign, assignment]


def after_commit() -> None:
    """Let the process be killed when all is done but the answer."""
    responses.replayed = users.replayed = _die  # type: ignore[assignment, attr-defined]
    exchange.is_replay = _die  # type: ignore[assignment, attr-defined]
