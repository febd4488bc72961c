"""Services on fakes, with three users."""

import pytest

from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from tests.fakes.ports import FakeClock, FakeHasher
from tests.fakes.services import as_admin, as_user, make_services


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def hasher() -> FakeHasher:
    return FakeHasher()


@pytest.fixture
def services(clock: FakeClock, hasher: FakeHasher) -> Services:
    return make_services(clock=clock, hasher=hasher)


@pytest.fixture
async def admin(services: Services) -> Caller:
    """The first admin, with an access key."""
    return await as_admin(services)


@pytest.fixture
async def alice(services: Services) -> Caller:
    """A user, with a token."""
    return await as_user(services, "alice")


@pytest.fixture
async def bobby(services: Services) -> Caller:
    """Another user, with a token."""
    return await as_user(services, "bobby")
