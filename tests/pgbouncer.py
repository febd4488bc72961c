"""Debian's PgBouncer before a PostgreSQL server of a test's own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep

from tests.needs import need

_START_SECONDS = 20.0
_HOW = "There is no pgbouncer: install Debian's package ('apt-get install pgbouncer')."
_INSTALLED = Path("/etc/pgbouncer/pgbouncer.ini")


@contextmanager
def own_pgbouncer(server_port: int, pool_mode: str) -> Iterator[int]:
    """The port of a running pooler for all databases of the server at `server_port`.

    Its settings are those of the package, but for where it listens and whom it lets in.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    need(program is not None, _HOW)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    folder = Path(mkdtemp(prefix="gatehouse-pgbouncer-"))
    config = folder / "pgbouncer.ini"
    try:
        config.write_text(_config(folder, server_port, port, pool_mode))
        (folder / "users").write_text('"postgres" ""\n')
        other: list[str] = []
        if os.geteuid() == 0:
            # It refuses to run as root.
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "postgres", "postgres")
            other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        process = subprocess.Popen(
            [*other, str(program), "-q", str(config)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            yield port
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder)


def _config(folder: Path, server_port: int, port: int, pool_mode: str) -> str:
    installed = f"%include {_INSTALLED}\n" if os.access(_INSTALLED, os.R_OK) else ""
    return (
        f"{installed}[databases]\n* = host=127.0.0.1 port={server_port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"logfile = {folder / 'log'}\npidfile = {folder / 'pid'}\n"
        f"auth_type = trust\nauth_file = {folder / 'users'}\npool_mode = {pool_mode}\n"
    )


def _wait_for(port: int) -> None:
    latest = monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert monotonic() < latest, "pgbouncer does not listen"
            sleep(0.02)
