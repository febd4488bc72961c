"""Stalls: the time for which a single request keeps all others waiting."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from threading import Event
from time import perf_counter

from bench import accounts, works
from bench.bench import BEHIND_A_PROXY, Bench
from bench.figures import Figure, Target
from bench.load import send
from bench.processes import Service
from bench.seed import ADMIN_KEY, Dataset
from bench.works import Request

_PAUSE = 0.01
_KEY = (("X-Access-Token", ADMIN_KEY),)


def loop(bench: Bench) -> Iterator[Figure]:
    """the longest time that a single request keeps another one waiting"""
    shares = []
    with bench.dataset() as data:
        stalls: dict[str, list[float]] = {}
        for _ in bench.rounds:
            # A new process each time, because some work is done only once.
            with bench.gatehouse(data, BEHIND_A_PROXY) as ours, bench.watch() as use:
                for title, request in _requests(data).items():
                    stalls.setdefault(title, []).append(_stall(ours, request))
            shares.append(use.others)
    bench.record("loop", "stalls", milliseconds=stalls)
    # The least of the rounds, because anything else that runs makes a stall longer.
    longest = sorted(((min(found), title) for title, found in stalls.items()), reverse=True)
    shown = ", ".join(f"{title} {stall:.1f} ms" for stall, title in longest[:3])
    yield Figure(
        "another request waits for a single one",
        shown,
        "",
        longest[0][0],
        Target(20, "<", "ms"),
        shares,
    )


def _requests(data: Dataset) -> dict[str, Request]:
    """Return requests that take long, by title."""
    batch = works.batch(data).requests
    part = accounts.username(17)[1:7]
    return {
        "first `GET /users/@self`": works.who_am_i(data).requests[0],
        "first `GET /openapi.json`": Request("GET", "/openapi.json"),
        "first `GET /rpc/openrpc.json`": Request("GET", "/rpc/openrpc.json"),
        "first `GET /docs`": Request("GET", "/docs"),
        "first batch": batch[0],
        "batch": batch[1],
        "first page": works.first_page(data).requests[0],
        "other page": works.pages(data).requests[-1],
        "search": Request("GET", f"/users?limit=100&q={part}", _KEY),
        "search without a match": Request("GET", "/users?limit=100&q=zzzzzz", _KEY),
        "`GET /users`": Request("GET", "/users", _KEY),
        "1 MiB of JSON": Request("POST", "/rpc", (works.JSON,), b"[%b]" % (b"1," * 9_999 + b"1")),
        "1 MiB of text": Request("POST", "/rpc", (works.JSON,), b'"%b"' % (b"x" * 1_000_000)),
        "login": works.log_in(data).requests[0],
    }


def _stall(ours: Service, request: Request) -> float:
    """Return the longest milliseconds that another client waits while the request is served."""
    ended = Event()
    with ThreadPoolExecutor(1) as pool:
        waited = pool.submit(_longest_wait, ours, ended)
        try:
            ended.wait(_PAUSE)
            send(ours.port, request)
        finally:
            ended.set()
        return waited.result()


def _longest_wait(ours: Service, ended: Event) -> float:
    longest = 0.0
    with closing(HTTPConnection("127.0.0.1", ours.port, timeout=60)) as connection:
        while not ended.is_set():
            started = perf_counter()
            connection.request("GET", "/health/live")
            connection.getresponse().read()
            longest = max(longest, (perf_counter() - started) * 1e3)
    return longest
