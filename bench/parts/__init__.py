"""Parts of a run, each a function that yields its results for an engine."""

from collections.abc import Callable, Iterator

from bench.bench import Bench
from bench.figures import Figure
from bench.parts import clients, login, loop, requests, revocation, scale, start, stream

Part = Callable[[Bench], Iterator[Figure]]

PARTS: dict[str, Part] = {
    "requests": requests.requests,
    "clients": clients.clients,
    "login": login.login,
    "loop": loop.loop,
    "stream": stream.stream,
    "scale": scale.scale,
    "start": start.start,
    "revocation": revocation.revocation,
}
"""In the order of a complete run; the docstrings are shown by `--help`."""
