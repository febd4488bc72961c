"""Database engines: stores are filled in bulk, copied and dropped."""

import csv
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import pysqlite3

from app.settings import DATABASE_NAME
from bench.processes import BenchError, is_running, require

Rows = Iterable[Sequence[Any]]


class Engine(Protocol):
    """A database engine. Each store belongs to a data folder, whose name identifies it."""

    name: str

    def version(self) -> str:
        """Return name and version. Raises BenchError if the engine is unavailable."""

    def url(self, folder: Path) -> str:
        """Return the DATABASE_URL of the store of a folder."""

    def create(self, folder: Path) -> None:
        """Create an empty database if the engine needs one."""

    def fill(self, folder: Path, table: str, columns: Sequence[str], rows: Rows) -> None:
        """Insert many rows into a table of a migrated store."""

    def settle(self, folder: Path) -> None:
        """Run the maintenance that the engine does by itself some time after many inserts."""

    def copy(self, source: Path, target: Path) -> None:
        """Copy the folder `source` and its store to `target`."""

    def drop(self, folder: Path) -> None:
        """Remove the folder and its store."""

    def processes(self, stores: Path) -> Sequence[int]:
        """Return the local processes of the engine that work for the stores below a folder."""


class Sqlite:
    """SQLite, with the database in the folder."""

    name = "SQLite"

    def version(self) -> str:
        return f"SQLite {pysqlite3.sqlite_version}"

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder / DATABASE_NAME}"

    def create(self, folder: Path) -> None:
        """Do nothing."""

    def fill(self, folder: Path, table: str, columns: Sequence[str], rows: Rows) -> None:
        # A crash may leave the store incomplete, which costs nothing here.
        connection = pysqlite3.connect(folder / DATABASE_NAME)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA cache_size = -500000")
            marks = ", ".join("?" * len(columns))
            insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
            with connection:
                connection.executemany(insert, rows)
        finally:
            connection.close()

    def settle(self, folder: Path) -> None:
        """Do nothing."""

    def copy(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target)

    def drop(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def processes(self, stores: Path) -> Sequence[int]:  # noqa: ARG002
        return ()


class Postgresql:
    """PostgreSQL, with a database per store on a running server, accessed by psql."""

    name = "PostgreSQL"

    def __init__(self, server: str) -> None:
        self._server = server

    def version(self) -> str:
        require("psql", "postgresql-client")
        return f"PostgreSQL {self._ask('SHOW server_version')}"

    def url(self, folder: Path) -> str:
        return urlunsplit(urlsplit(self._server)._replace(path=f"/{_database(folder)}"))

    def create(self, folder: Path) -> None:
        self._ask(f"CREATE DATABASE {_database(folder)}")

    def fill(self, folder: Path, table: str, columns: Sequence[str], rows: Rows) -> None:
        copy = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv, NULL '\\N')"
        with subprocess.Popen(
            [*_psql(self.url(folder)), "-c", copy], stdin=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            csv.writer(process.stdin).writerows(
                ["\\N" if value is None else value for value in row] for row in rows
            )
        if process.returncode != 0:
            raise BenchError(f"PostgreSQL rejected the rows of {table}.")

    def settle(self, folder: Path) -> None:
        self._ask("VACUUM ANALYZE", self.url(folder))

    def copy(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target)
        self._ask(f"CREATE DATABASE {_database(target)} TEMPLATE {_database(source)}")

    def drop(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._ask(f"DROP DATABASE IF EXISTS {_database(folder)} WITH (FORCE)")

    def processes(self, stores: Path) -> Sequence[int]:
        # Processes without a database write the log and the tables of all of them.
        rows = self._ask(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "  # noqa: S608
            f"(datname IS NULL OR starts_with(datname, '{_identifier(stores.name)}'))"
        )
        return [pid for pid in map(int, rows.split()) if is_running(pid, "postgres")]

    def _ask(self, statement: str, url: str | None = None) -> str:
        done = subprocess.run(
            [*_psql(url or self._server), "-c", statement],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"PostgreSQL at {self._server}: {done.stderr.strip()}")
        return done.stdout.strip()


def _psql(url: str) -> list[str]:
    return ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", url]


def _database(folder: Path) -> str:
    """Return a database name that is unique like the folder of the run."""
    return _identifier("_".join(folder.parts[-2:]))


def _identifier(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name.lower())
