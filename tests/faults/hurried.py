"""`gatehouse` with shorter times for the outbox, which tells a witness of each attempt.

Nothing else is different: a kill -9 need not be followed by a wait of three quarters of a minute.
"""

import os
from datetime import timedelta

import httpx

from app.domain import outbox as rules

# Before anybody imports them from there.
rules.DELIVERY_MAX = timedelta(seconds=2)
rules.LEASE = timedelta(seconds=5)
rules.RETRY_DELAY_MIN = timedelta(seconds=0.05)
rules.RETRY_DELAY_MAX = timedelta(seconds=0.5)

from app.cli.main import main  # noqa: E402
from app.domain.outbox import Delivery, Json  # noqa: E402
from app.operations import outbox  # noqa: E402
from app.operations.framework.services import Services  # noqa: E402
from app.upstream import client  # noqa: E402

attempt = outbox._attempt
witness = httpx.AsyncClient(base_url=os.environ["WITNESS"], trust_env=False, timeout=30)


async def tell(what: str, delivery: Delivery) -> None:
    """The witness records the order of its requests."""
    said = {
        "what": what,
        "number": delivery.number,
        "account": delivery.message.subject,
        "process": os.getpid(),
    }
    await witness.post("/attempts", json=said)


async def watched(services: Services, delivery: Delivery) -> Json | str | None:
    """An attempt, of which the witness knows when it begins and ends."""
    await tell("begun", delivery)
    try:
        outcome = await attempt(services, delivery)
    except BaseException:
        await tell("broken off", delivery)
        raise
    await tell("failed" if isinstance(outcome, str) else "done", delivery)
    return outcome


if __name__ == "__main__":
    outbox._attempt = watched
    client.make_breaker = lambda: client.CircuitBreaker(failures=5, pause=0.5)
    main()
