"""Everything that knows passwords from breaches."""

from collections import defaultdict
from collections.abc import AsyncIterator
from hashlib import sha1

import httpx
import pytest
import respx

from app.domain.ports.services import BreachedPasswords
from app.upstream.breached_passwords import PasswordRanges
from app.upstream.client import CircuitBreaker, open_client
from tests.fakes.ports import FakeBreachedPasswords

pytestmark = pytest.mark.anyio

URL = "https://ranges.example.com"
# The last two are in one range.
KNOWN = (
    "P@ssw0rd of many",
    "密码 of many",
    "\U0001f600" * 128,
    "battery staple 1186",
    "battery staple 1778",
)


def _answer(request: httpx.Request) -> httpx.Response:
    ranges = defaultdict(list)
    for password in KNOWN:
        digest = sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        ranges[digest[:5]].append(f"{digest[5:]}:3")
    return httpx.Response(200, text="\r\n".join(ranges[request.url.path[1:]]))


@pytest.fixture(params=["fake", "ranges"])
async def breached(request: pytest.FixtureRequest) -> AsyncIterator[BreachedPasswords]:
    if request.param == "fake":
        yield FakeBreachedPasswords(*KNOWN)
        return
    async with open_client() as client:
        with respx.mock:
            respx.get(url__regex=rf"{URL}/[0-9A-F]{{5}}\Z").mock(side_effect=_answer)
            yield PasswordRanges(client, URL, CircuitBreaker())


@pytest.mark.parametrize("password", KNOWN, ids=ascii)
async def test_a_password_from_a_breach_is_known(
    breached: BreachedPasswords, password: str
) -> None:
    assert await breached.contains(password)


@pytest.mark.parametrize("password", ["p@ssw0rd of many", KNOWN[0] + " ", "", "another"])
async def test_any_other_is_not(breached: BreachedPasswords, password: str) -> None:
    assert not await breached.contains(password)
