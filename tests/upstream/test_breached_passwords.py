"""A range service in every mood: what it knows is heard, and it never costs a sign-up much."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator, Iterator
from hashlib import sha1

import httpx
import pytest
import respx
from structlog.testing import capture_logs
from structlog.typing import EventDict

from app.upstream.breached_passwords import PasswordRanges
from app.upstream.client import CircuitBreaker, ReplyLimits, open_client
from tests.fakes.ports import FakeSeconds

pytestmark = pytest.mark.anyio

URL = "https://ranges.example.com/range"
PASSWORD = "P@ssw0rd of many"
DIGEST = sha1(PASSWORD.encode(), usedforsecurity=False).hexdigest().upper()
PREFIX, SUFFIX = DIGEST[:5], DIGEST[5:]
OTHER = "0018A45C4D1DEF81644B54AB7F969B88D65"
HIT = f"{OTHER}:1\r\n{SUFFIX}:37"
BYTES_MAX = 1000


@pytest.fixture
def seconds() -> FakeSeconds:
    return FakeSeconds()


@pytest.fixture
async def ranges(seconds: FakeSeconds) -> AsyncIterator[PasswordRanges]:
    """Those of a service that has a twentieth of a second and a kilobyte for its answer."""
    breaker = CircuitBreaker(failures=3, pause=30.0, seconds=seconds)
    async with open_client() as client:
        yield PasswordRanges(client, URL, breaker, ReplyLimits(seconds=0.05, bytes=BYTES_MAX))


@pytest.fixture
def service() -> Iterator[respx.Route]:
    """The route for the range of PASSWORD."""
    with respx.mock:
        yield respx.get(f"{URL}/{PREFIX}").respond(text=HIT)


@pytest.fixture
def log() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


# ------------------------------------------------------------------------ what is asked


async def test_only_five_digits_of_a_hash_are_sent(
    ranges: PasswordRanges, service: respx.Route
) -> None:
    assert await ranges.contains(PASSWORD)
    request = service.calls.last.request
    sent = b"".join(b"%b: %b\n" % header for header in request.headers.raw)
    sent += str(request.url).encode() + request.content
    assert request.headers["Add-Padding"] == "true"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.url.path == f"/range/{PREFIX}"
    assert SUFFIX[:5].encode() not in sent.upper()
    assert PASSWORD.encode() not in sent


async def test_a_slash_at_the_end_of_the_address_changes_nothing(service: respx.Route) -> None:
    async with open_client() as client:
        assert await PasswordRanges(client, f"{URL}/", CircuitBreaker()).contains(PASSWORD)


async def test_no_cookie_tells_one_question_from_the_next(
    ranges: PasswordRanges, service: respx.Route
) -> None:
    service.respond(text=HIT, headers={"Set-Cookie": "who=alice; Path=/"})
    await ranges.contains(PASSWORD)
    await ranges.contains(PASSWORD)
    assert "Cookie" not in service.calls.last.request.headers


# --------------------------------------------------------------------- what is answered


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (HIT, True),
        (HIT.replace("\r\n", "\n") + "\n", True),
        (HIT.lower(), True),
        (f"{SUFFIX}:{2**62}", True),
        (f"{OTHER}:12", False),
        (f"{SUFFIX}:0\r\n{OTHER}:12", False),
        (f"{SUFFIX}:000", False),
        ("", False),
    ],
    ids=["hit", "lf", "lower", "often", "miss", "padding", "zeros", "empty"],
)
async def test_an_answer_says_whether_the_password_is_known(
    ranges: PasswordRanges, service: respx.Route, log: list[EventDict], text: str, known: bool
) -> None:
    service.respond(text=text)
    assert await ranges.contains(PASSWORD) is known
    assert log == []


def _packed(size: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        file.write(HIT.encode() + b"\n" * size)
    return packed.getvalue()


async def _forever(_: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


class Dripping(httpx.AsyncByteStream):
    """Never long without a byte, and never done."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"\n"
            await asyncio.sleep(0.001)


class Huge(httpx.AsyncByteStream):
    """A little more than is taken, then no more is asked for."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(BYTES_MAX + 1):
            yield b"\n"
        raise AssertionError("read on beyond its bound")


MOODS: dict[str, dict[str, object]] = {
    "slow": {"side_effect": _forever},
    "dripping": {"return_value": httpx.Response(200, stream=Dripping())},
    "down": {"side_effect": httpx.ConnectError("refused")},
    "not reached in time": {"side_effect": httpx.ConnectTimeout("unreachable")},
    "hanging up": {"side_effect": httpx.RemoteProtocolError("closed")},
    "no network": {"side_effect": OSError("no route")},
    "failing": {"return_value": httpx.Response(503, text=HIT)},
    "refusing": {"return_value": httpx.Response(429, text=HIT)},
    "missing": {"return_value": httpx.Response(404, text=HIT)},
    "partial": {"return_value": httpx.Response(206, text=HIT)},
    "redirecting": {
        "return_value": httpx.Response(302, headers={"Location": f"{URL}/elsewhere"}, text=HIT)
    },
    "a page": {"return_value": httpx.Response(200, html="<p>Please log in to this network</p>")},
    "another protocol": {"return_value": httpx.Response(200, json={"known": True})},
    "half a line": {"return_value": httpx.Response(200, text=HIT + f"\r\n{OTHER[:20]}")},
    "no count": {"return_value": httpx.Response(200, text=SUFFIX)},
    "a negative count": {"return_value": httpx.Response(200, text=f"{SUFFIX}:-1")},
    "an endless count": {"return_value": httpx.Response(200, text=f"{SUFFIX}:{'9' * 900}")},
    "whole hashes": {"return_value": httpx.Response(200, text=f"{DIGEST}:1")},
    "not even text": {"return_value": httpx.Response(200, content=b"\xff\x00" * 20)},
    "foreign digits": {"return_value": httpx.Response(200, text=f"{SUFFIX}:\u0663")},
    "huge": {"return_value": httpx.Response(200, stream=Huge())},
    "a bomb": {
        "return_value": httpx.Response(
            200,
            headers={"Content-Encoding": "gzip"},
            stream=httpx.ByteStream(_packed(100_000)),
        )
    },
    "packed": {
        "return_value": httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(_packed(0))
        )
    },
}


@pytest.mark.parametrize("mood", MOODS.values(), ids=MOODS.keys())
async def test_without_a_usable_answer_the_password_counts_as_unknown_and_the_log_says_so(
    ranges: PasswordRanges,
    service: respx.Route,
    log: list[EventDict],
    mood: dict[str, object],
) -> None:
    service.mock(**mood)  # type: ignore[arg-type]
    assert not await ranges.contains(PASSWORD)
    (line,) = log
    assert line["log_level"] == "warning"
    assert line["event"] == "breached password check failed"
    assert not [part for part in (PREFIX, SUFFIX, PASSWORD) if part in str(line)]


async def test_a_redirect_is_not_followed(ranges: PasswordRanges, service: respx.Route) -> None:
    elsewhere = respx.get("https://elsewhere.example.com/").respond(text=HIT)
    service.respond(302, headers={"Location": "https://elsewhere.example.com/"})
    assert not await ranges.contains(PASSWORD)
    assert not elsewhere.called


# -------------------------------------------------------------------------- the breaker


async def _fail(ranges: PasswordRanges, times: int) -> None:
    """Look up so many passwords, each in a range of its own."""
    respx.get(url__startswith=URL).respond(503)
    for number in range(times):
        await ranges.contains(f"password {number}")


async def _after_the_others(_: httpx.Request) -> httpx.Response:
    await asyncio.sleep(0)
    return httpx.Response(503)


async def test_after_three_consecutive_failures_no_request_waits_for_it(
    ranges: PasswordRanges, service: respx.Route, log: list[EventDict]
) -> None:
    await _fail(ranges, 10)
    assert not await ranges.contains(PASSWORD)
    assert not service.called
    assert respx.calls.call_count == len(log) == 3


async def test_one_failing_range_does_not_open_the_circuit(
    ranges: PasswordRanges, service: respx.Route
) -> None:
    for _ in range(10):
        await _fail(ranges, 1)
    assert respx.calls.call_count == 10
    assert await ranges.contains(PASSWORD)


async def test_after_the_pause_one_may_try_and_the_others_go_on(
    ranges: PasswordRanges, service: respx.Route, seconds: FakeSeconds
) -> None:
    await _fail(ranges, 3)
    seconds.turn(29.9)
    await _fail(ranges, 10)
    assert respx.calls.call_count == 3
    seconds.turn(0.1)
    service.mock(side_effect=_after_the_others)
    await asyncio.gather(*(ranges.contains(PASSWORD) for _ in range(10)))
    assert service.call_count == 1
    seconds.turn(29.9)
    assert not await ranges.contains(PASSWORD)
    assert service.call_count == 1


async def test_one_good_answer_after_the_pause_lets_everybody_ask_again(
    ranges: PasswordRanges, service: respx.Route, seconds: FakeSeconds
) -> None:
    await _fail(ranges, 3)
    seconds.turn(30)
    assert [await ranges.contains(PASSWORD) for _ in range(3)] == [True] * 3


async def test_failures_that_are_not_consecutive_do_not_open_the_circuit(
    ranges: PasswordRanges, service: respx.Route
) -> None:
    for _ in range(5):
        await _fail(ranges, 2)
        assert await ranges.contains(PASSWORD)


async def test_a_cancelled_trial_leaves_the_next_one_to_another_request(
    ranges: PasswordRanges, service: respx.Route, seconds: FakeSeconds
) -> None:
    await _fail(ranges, 3)
    seconds.turn(30)
    service.mock(side_effect=_forever)
    trying = asyncio.create_task(ranges.contains(PASSWORD))
    await asyncio.sleep(0)
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    service.mock(side_effect=None).respond(text=HIT)
    seconds.turn(30)
    assert await ranges.contains(PASSWORD)
