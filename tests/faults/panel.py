"""A panel of the generic dialect on loopback, which is down or slow at times and counts everything.

It is also the witness that records every attempt at a delivery, however it responds.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Event, Lock, Thread
from time import sleep
from typing import Any, NamedTuple

_SERVERS = re.compile(r"/users/(?P<owner>[0-9a-f-]{36})/servers")
_SWITCH = re.compile(r"/servers/(?P<uuid>[0-9a-f-]{36})/(?P<verb>start|stop)")


class Mood(StrEnum):
    """A way of the panel to respond."""

    UP = "up"
    DOWN = "down"
    SLOW = "slow"


class Attempt(NamedTuple):
    """The attempts that the witness recorded."""

    what: str
    number: int
    account: int
    process: int


@dataclass
class FakePanel:
    """Servers by owner, each with whether it is active; and what was asked."""

    random: Random
    servers: dict[str, dict[str, bool]] = field(default_factory=dict)
    mood: Mood = Mood.UP
    switched: Counter[str] = field(default_factory=Counter)
    attempts: list[Attempt] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    # Answers wait until this is set, and `kept_waiting` tells that one does.
    answers: Event = field(default_factory=Event)
    kept_waiting: Event = field(default_factory=Event)
    url: str = ""

    def __post_init__(self) -> None:
        self.answers.set()

    def listed(self, owner: str) -> list[dict[str, Any]] | None:
        with self.lock:
            if owner not in self.servers:
                return None
            found = self.servers[owner]
            return [{"uuid": uuid, "active": active} for uuid, active in found.items()]

    def switch(self, uuid: str, verb: str) -> bool:
        on = verb == "start"
        with self.lock:
            for servers in self.servers.values():
                if uuid in servers:
                    self.switched[verb if servers[uuid] is not on else f"{verb} again"] += 1
                    servers[uuid] = on
                    return True
        return False

    def witness(self, said: dict[str, Any]) -> None:
        with self.lock:
            self.attempts.append(Attempt(**said))


@contextmanager
def open_panel(random: Random) -> Iterator[FakePanel]:
    """The panel, on a port of its own."""
    panel = FakePanel(random)

    class StaleCache(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self._is_in_the_mood():
                asked = _SERVERS.fullmatch(self.path)
                found = panel.listed(asked["owner"]) if asked else None
                self._answer(200 if found is not None else 404, found)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/attempts":
                panel.witness(json.loads(body))
                self._answer(204)
            elif self._is_in_the_mood():
                asked = _SWITCH.fullmatch(self.path)
                done = asked is not None and panel.switch(asked["uuid"], asked["verb"])
                self._answer(204 if done else 404)

        def _is_in_the_mood(self) -> bool:
            if not panel.answers.is_set():
                panel.kept_waiting.set()
                panel.answers.wait(30)
            if panel.mood is Mood.SLOW:
                sleep(panel.random.uniform(0.1, 0.8))
            if panel.mood is Mood.DOWN:
                self._answer(503)
                return False
            return True

        def _answer(self, status: int, value: Any = None) -> None:
            body = b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """The client was killed."""

    with Quiet(("127.0.0.1", 0), StaleCache) as server:
        panel.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield panel
        finally:
            server.shutdown()
            thread.join()
