"""The parts of a run. Each is a function of a run and an engine that gives its figures."""

from collections.abc import Callable, Iterator

from bench.bench import Bench
from bench.engines import Engine
from bench.figures import Figure
from bench.parts import hot, login, revocation, scale, start, stream

Part = Callable[[Bench, Engine], Iterator[Figure]]

PARTS: dict[str, Part] = {
    "self": hot.self_,
    "check": hot.check,
    "batch": hot.batch,
    "list": hot.list_,
    "login": login.login,
    "stream": stream.stream,
    "scale": scale.scale,
    "start": start.start,
    "revocation": revocation.revocation,
}
"""In the order of a whole run; a docstring's first line says what the part measures."""
