"""A PostgreSQL server of a test's own, to be stopped and started again."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import asyncpg

from tests.needs import need

_HOW = (
    "There is no pg_ctl: install a PostgreSQL server ('apt-get install postgresql'); its programs "
    "are looked for in PATH and in /usr/lib/postgresql."
)


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """A server on loopback that trusts everybody."""

    folder: Path
    programs: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories={self.folder}"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-o", options, "start")

    def ask(self, statement: str, *, database: str = "postgres") -> Any:
        """The first value of what one statement finds, outside any transaction."""

        async def run() -> Any:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user="postgres", database=database, ssl=False
            )
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        return asyncio.run(run())

    def set(self, name: str, value: str) -> None:
        """Change a setting for all sessions, those that there are, too."""
        self.ask(f"ALTER SYSTEM SET {name} = '{value}'")
        self.ask("SELECT pg_reload_conf()")

    def write(self, name: str, content: bytes) -> Path:
        """Put a file beside the server's data, which only the server may read."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")
        return path

    @contextmanager
    def standby(self) -> Iterator["OwnPostgres"]:
        """A running standby of this server, to be promoted."""
        with _beside(self.programs) as other:
            source = f"postgresql://postgres@127.0.0.1:{self.port}/"
            self._run("pg_basebackup", "-D", str(other.data), "-R", "-c", "fast", "-d", source)
            with _running(other):
                yield other

    def promote(self) -> None:
        """Make a standby the primary."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "promote")

    def stop(self, mode: str) -> None:
        """End it: `fast` rolls back what is open, `immediate` is like a crash."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def prepare(self) -> None:
        """Make its files."""
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"]
        self._run("initdb", "-D", str(self.data), *options)

    @property
    def data(self) -> Path:
        """The folder of its files."""
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        # It refuses to run as root.
        other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        done = subprocess.run(
            [*(other if os.geteuid() == 0 else []), str(self.programs / program), *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            # A server that is started would hold a pipe open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{program}: status {done.returncode}"


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A running server on a free port, which is gone afterwards."""
    found = [str(Path(path).parent) for path in sorted(glob("/usr/lib/postgresql/*/bin/pg_ctl"))]
    programs = shutil.which("pg_ctl")
    if programs is not None:
        found.append(str(Path(programs).resolve().parent))
    need(bool(found), _HOW)
    with _beside(Path(found[-1])) as server:
        server.prepare()
        with _running(server):
            yield server


@contextmanager
def _beside(programs: Path) -> Iterator[OwnPostgres]:
    """A folder and a free port for a server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    folder = Path(mkdtemp(prefix="gatehouse-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        yield OwnPostgres(folder, programs, port)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(server: OwnPostgres) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        if (server.data / "postmaster.pid").exists():
            server.stop("immediate")
