"""The client of the current request, for queues that schedule by client."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from app.domain.rate_limits import UNKNOWN


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class RequestClient:
    """The client's network, and a function that tells if it has disconnected."""

    network: str = UNKNOWN
    is_disconnected: Callable[[], bool] = _never


# A context variable, since the port for password hashing takes passwords, not clients.
_UNKNOWN_CLIENT = RequestClient()
REQUEST_CLIENT: ContextVar[RequestClient] = ContextVar("requester", default=_UNKNOWN_CLIENT)
