"""A PostgreSQL server of a test's own, to be stopped and started again."""

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
        options = f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories="
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-o", options, "start")

    def stop(self, mode: str) -> None:
        """End it: `fast` rolls back what is open, `immediate` is like a crash."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")

    def prepare(self) -> None:
        """Make its files."""
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync"]
        self._run("initdb", "-D", str(self.data), *options)

    @property
    def data(self) -> Path:
        """Where its files are."""
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
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    folder = Path(mkdtemp(prefix="gatehouse-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = OwnPostgres(folder, Path(found[-1]), port)
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.stop("immediate")
    finally:
        shutil.rmtree(folder)
