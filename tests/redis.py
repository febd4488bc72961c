"""A Redis server for the tests that need one; what they store has prefixes of their own."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from tests.needs import missing, need

SERVER = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
_HOW = (
    f"There is no Redis at {SERVER}: start one ('docker run -p 6379:6379 redis'), or name yours in "
    "TEST_REDIS_URL."
)
_START_SECONDS = 20.0


def redis_url() -> str:
    """The URL of a server that is there; without one the test is skipped."""
    host, _, port = SERVER.partition("://")[2].rpartition("@")[2].partition("/")[0].partition(":")
    try:
        socket.create_connection((host, int(port or "6379")), timeout=5).close()
    except OSError:
        missing(_HOW)
    return SERVER


@dataclass
class OwnRedis:
    """A server of a test's own, to be paused, killed and started again."""

    folder: Path
    port: int
    _process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        """The path of its Unix socket."""
        return self.folder / "redis.sock"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [
            "--unixsocket",
            str(self.socket),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--daemonize",
            "no",
        ]
        self._process = subprocess.Popen(
            ["redis-server", *options, "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        latest = monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert monotonic() < latest
                sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def flush(self) -> None:
        """Let it forget everything."""
        self.command("FLUSHALL")
        self.command("SCRIPT FLUSH")

    def command(self, line: str) -> None:
        """Run a command that is answered by OK."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"{line}\r\n".encode())
            said = connection.recv(64)
            assert said == b"+OK\r\n", said

    def pause(self) -> None:
        """Let it take connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    """A running server on a free port, which is gone afterwards."""
    need(shutil.which("redis-server") is not None, "There is no redis-server: install Redis.")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    server = OwnRedis(folder, port)
    server.start()
    try:
        yield server
    finally:
        server.kill()
