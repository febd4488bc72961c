"""Random walks through real servers: every process agrees with the model, through both APIs.

MODEL_STEPS gives the length of a walk, MODEL_SEED the seed that a failure names.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random, SystemRandom
from time import monotonic
from typing import Any

import pytest

from tests.model.deployments import (
    ADMIN_KEY,
    DEPLOYMENTS,
    CommandLine,
    Deployment,
    Place,
    connected,
)
from tests.model.walk import Walk

pytestmark = pytest.mark.anyio

# How often each reader asks before a revocation, and after it.
TRIES = 5
STEPS = int(os.environ.get("MODEL_STEPS", "60"))
SEED = int(os.environ.get("MODEL_SEED", SystemRandom().getrandbits(32)))
PASSWORD = "correct horse battery"
PASSWORDS = {"current": PASSWORD, "password": PASSWORD}


@pytest.fixture(params=DEPLOYMENTS)
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    print(f"\nMODEL_SEED={SEED} MODEL_STEPS={STEPS}")
    with DEPLOYMENTS[request.param](tmp_path) as deployment:
        yield deployment


async def test_every_answer_on_a_random_walk_is_the_models(deployment: Deployment) -> None:
    async with connected(deployment) as places:
        walk = Walk(SEED, deployment, places)
        try:
            await walk.go(STEPS)
        finally:
            print(dict(walk.counts))


@dataclass(frozen=True, slots=True)
class Try:
    """One question with a credential: when it was sent, when answered, whether it was let in."""

    sent: float
    answered: float
    let_in: bool


async def hammer(
    place: Place, credential: str, is_warm: asyncio.Event, is_over: asyncio.Event
) -> list[Try]:
    """Ask who one is over and over, through both APIs, until some time after it is over."""
    tries: list[Try] = []
    last = TRIES
    for api in cycle(place.apis):
        sent = monotonic()
        outcome = await api("users.self", credential)
        assert outcome.slug in {None, "unauthenticated"}
        tries.append(Try(sent, monotonic(), outcome.slug is None))
        if len(tries) == TRIES:
            is_warm.set()
        if not is_over.is_set():
            last = len(tries) + TRIES
        elif len(tries) >= last:
            break
    return tries


async def done(place: Place, operation: str, credential: str | None = None, **members: Any) -> Any:
    """Return the result of a call that has to succeed."""
    outcome = await place.apis[0](operation, credential, **members)
    assert outcome.slug is None, f"{operation}: {outcome}"
    return outcome.value


@dataclass(frozen=True, slots=True)
class Traveller:
    """A user's uuid, token and access key."""

    uuid: str
    token: str
    key: str


# What is ended, by which operation, with what.
WAYS: list[tuple[str, str, Callable[[Traveller], dict[str, Any]]]] = [
    ("token", "users.logout", lambda who: {}),
    ("key", "keys.revoke", lambda who: {"id": who.key[:8]}),
    ("token", "admin.users.disable", lambda who: {"uuid": who.uuid}),
    ("key", "admin.users.disable", lambda who: {"uuid": who.uuid}),
    ("token", "admin.sessions.revoke", lambda who: {"uuid": who.uuid}),
    ("key", "users.password", lambda who: {**PASSWORDS, "revoke_keys": True}),
    ("key", "gatehouse keys revoke", lambda who: {"id": who.key[:8]}),
    ("token", "admin.users.update", lambda who: {"uuid": who.uuid, "password": PASSWORD}),
    ("key", "admin.keys.revoke", lambda who: {"uuid": who.uuid}),
]
ROUNDS = max(len(WAYS), STEPS // 10)


async def test_no_request_gets_in_with_a_credential_revoked_before_it(
    deployment: Deployment,
) -> None:
    """While everybody asks all the time: until it is sent nothing is refused, after its answer
    no one is let in; in between both outcomes are possible."""
    random = Random(SEED)
    counts: Counter[str] = Counter()
    async with connected(deployment) as readers, connected(deployment) as changers:
        here, line = changers[0], CommandLine(deployment, deployment.served[0].folder)
        await done(here, "users.create", username="traveller", password=PASSWORD)
        login = {"username": "traveller", "password": PASSWORD}
        user_id = (await done(here, "users.auth", **login))["user_id"]
        page = await done(here, "admin.users.list", ADMIN_KEY, user_id=user_id)
        (uuid,) = page["users"]
        for number in range(ROUNDS):
            token = (await done(here, "users.auth", **login))["token"]
            key = (await done(here, "keys.create", token, name="bot"))["key"]
            who = Traveller(uuid, token, key)
            ended, operation, members_of = WAYS[number % len(WAYS)]
            at_the_line = operation.startswith("gatehouse ")
            api = line if at_the_line else random.choice(random.choice(changers).apis)
            actor = ADMIN_KEY if operation.startswith("admin.") else token
            is_over = asyncio.Event()
            warm = [asyncio.Event() for _ in readers]
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(hammer(reader, getattr(who, ended), is_warm, is_over))
                    for reader, is_warm in zip(readers, warm, strict=True)
                ]
                for is_warm in warm:
                    await is_warm.wait()
                sent = monotonic()
                revoked = await api(operation, actor, **members_of(who))
                answered = monotonic()
                is_over.set()
            assert revoked.slug is None
            tries = [each for task in tasks for each in task.result()]
            assert all(each.let_in for each in tries if each.answered < sent)
            assert not any(each.let_in for each in tries if each.sent > answered)
            counts["revoked"] += 1
            counts["asked"] += len(tries)
            counts["asked after it"] += sum(each.sent > answered for each in tries)
            await done(here, "admin.users.update", ADMIN_KEY, uuid=uuid, disabled=False)
    print(dict(counts))
