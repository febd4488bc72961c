"""The engines that a store can be on: filled in bulk, copied, dropped."""

import csv
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import pysqlite3

from app.config import DATABASE_NAME
from bench.processes import BenchError, require

Rows = Iterable[Sequence[Any]]


class Engine(Protocol):
    """A kind of store. Each store belongs to a data folder, by whose name it is found."""

    name: str

    def version(self) -> str:
        """Name and version, for people. Raises BenchError where it is out of reach."""

    def url(self, folder: Path) -> str:
        """What DATABASE_URL is for the store of this folder."""

    def create(self, folder: Path) -> None:
        """Make room for a new store."""

    def fill(self, folder: Path, table: str, columns: Sequence[str], rows: Rows) -> None:
        """Insert many rows into a table of a migrated store."""

    def settle(self, folder: Path) -> None:
        """Do what the engine would do by itself some time after so many rows were inserted."""

    def copy(self, source: Path, target: Path) -> None:
        """Make `target` a copy of the folder `source`, its store included."""

    def drop(self, folder: Path) -> None:
        """Remove the folder and its store."""


class Sqlite:
    """A file in the folder."""

    name = "SQLite"

    def version(self) -> str:
        return f"SQLite {pysqlite3.sqlite_version}"

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder / DATABASE_NAME}"

    def create(self, folder: Path) -> None:
        """There is nothing to do."""

    def fill(self, folder: Path, table: str, columns: Sequence[str], rows: Rows) -> None:
        # Nothing is lost with a store that a crash leaves half filled.
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
        """There is nothing to do."""

    def copy(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target)

    def drop(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


class Postgresql:
    """A database of its own on a server that is there already, worked with by psql."""

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
            raise BenchError(f"PostgreSQL did not take the rows of {table}.")

    def settle(self, folder: Path) -> None:
        self._ask("VACUUM ANALYZE", self.url(folder))

    def copy(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target)
        self._ask(f"CREATE DATABASE {_database(target)} TEMPLATE {_database(source)}")

    def drop(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._ask(f"DROP DATABASE IF EXISTS {_database(folder)} WITH (FORCE)")

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
    """A run's folder has a name of its own, so its databases have, too."""
    parts = "_".join(folder.parts[-2:])
    return "".join(c if c.isalnum() else "_" for c in parts.lower())
