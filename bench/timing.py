"""Times of rejected logins: they must not reveal whether an account exists, or its kind.

`python -m bench timing` sends logins to a real server, one at a time on one connection, and prints
the median for each kind of account and its ratio to a wrong password of an ordinary account.
"""

import argparse
import base64
import json
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import pysqlite3
from passlib.context import CryptContext

from app.settings import DATABASE_NAME
from bench.accounts import FREE, PASSWORD, username
from bench.engines import Sqlite
from bench.processes import BenchError, Service, free_port, python, service
from bench.seed import Dataset, password_hash, seed

WRONG = "wrong horse 42"
# Accounts of each kind; every account gets the same number of logins.
_EACH = 8
# As other programs create them: ten rounds of bcrypt as in PHP, otherwise the library's defaults.
_IMPORTED = {
    "bcrypt": CryptContext(["bcrypt"], bcrypt__rounds=10),
    "pbkdf2": CryptContext(["pbkdf2_sha256"]),
    "scrypt": CryptContext(["scrypt"]),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of login that must be indistinguishable, and the changes to its accounts."""

    title: str
    change: dict[str, object] | None = None
    password: str = WRONG
    name: Callable[[int], str] | None = None


def kinds() -> list[Kind]:
    """Return the kinds; the first is the baseline."""
    broken = "$argon2id$v=19$m=19456,t=2,p=1$"
    imported = [
        Kind(f"imported {scheme}", {"password_hash": context.hash(PASSWORD)})
        for scheme, context in _IMPORTED.items()
    ]
    return [
        Kind("wrong password"),
        Kind("wrong password again"),
        Kind("unknown name", name=lambda n: username(FREE + n)),
        Kind("impossible name", name=lambda n: "x" * (n % 3 + 1)),
        Kind("endless name", name=lambda n: f"{n}" * 5000),
        Kind("impossible password", password="\x00" * 12),
        Kind("endless password", password="x" * 5000),
        Kind("disabled account", {"disabled": True}),
        Kind("account without a password", {"password_hash": None}),
        Kind("account with a broken hash", {"password_hash": broken}),
        *imported,
    ]


def main(arguments: Sequence[str]) -> None:
    """Measure all kinds of logins."""
    parser = argparse.ArgumentParser("python -m bench timing", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=200, help="number of rounds over all kinds (200)"
    )
    chosen = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="gatehouse-timing-") as folder:
        all_kinds = kinds()
        empty = Dataset(Sqlite(), Path(folder), _EACH * len(all_kinds))
        data = seed(empty, password_hash(), sessions=0)
        _change_accounts(data, all_kinds)
        with _server(data) as server:
            for title, ask in WAYS.items():
                _report(title, all_kinds, _measure(server, all_kinds, ask, chosen.rounds))


def _accounts(kind: int) -> range:
    return range(kind * _EACH, (kind + 1) * _EACH)


def _change_accounts(data: Dataset, kinds: Sequence[Kind]) -> None:
    with closing(pysqlite3.connect(data.folder / DATABASE_NAME)) as connection, connection:
        for number, kind in enumerate(kinds):
            for column, value in (kind.change or {}).items():
                connection.executemany(
                    f"UPDATE users SET {column} = ? WHERE username = ?",  # noqa: S608
                    [(value, username(n)) for n in _accounts(number)],
                )


def _server(data: Dataset) -> AbstractContextManager[Service]:
    port = free_port()
    # Without rate limits, which would reject logins before they are checked.
    settings = {**data.settings, "port": str(port), "rate_limits": "off"}
    return service(
        python("app", "serve"),
        port,
        data.folder / "log",
        cwd=data.folder,
        env={f"GATEHOUSE_{name.upper()}": value for name, value in settings.items()},
        path="/health/ready",
    )


Ask = Callable[[HTTPConnection, str, str], str]


def _post(connection: HTTPConnection, path: str, body: str, headers: dict[str, str]) -> str:
    connection.request("POST", path, body, headers)
    return connection.getresponse().read().decode()


def _by_rest(connection: HTTPConnection, name: str, password: str) -> str:
    body = json.dumps({"username": name, "password": password})
    return _post(connection, "/users/auth", body, {"Content-Type": "application/json"})


def _by_basic(connection: HTTPConnection, name: str, password: str) -> str:
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    return _post(connection, "/users/auth", "", {"Authorization": f"Basic {pair}"})


def _by_rpc(connection: HTTPConnection, name: str, password: str) -> str:
    call = {"jsonrpc": "2.0", "method": "users.auth", "params": [name, password], "id": 1}
    return _post(connection, "/rpc", json.dumps(call), {"Content-Type": "application/json"})


WAYS: dict[str, Ask] = {
    "POST /users/auth": _by_rest,
    "POST /users/auth, HTTP Basic": _by_basic,
    "POST /rpc users.auth": _by_rpc,
}


def _measure(
    server: Service, kinds: Sequence[Kind], ask: Ask, rounds: int
) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {kind.title: [] for kind in kinds}
    order = list(enumerate(kinds))
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    with closing(connection):
        for turn in range(rounds):
            # In random order, so that the previous login has no systematic effect.
            random.shuffle(order)
            for number, kind in order:
                n = _accounts(number)[turn % _EACH]
                name = (kind.name or username)(n)
                started = perf_counter()
                answer = ask(connection, name, kind.password)
                took[kind.title].append(perf_counter() - started)
                if "invalid password" not in answer:
                    raise BenchError(f"{kind.title}: the response is {answer[:300]}")
    return took


def _report(title: str, kinds: Sequence[Kind], took: dict[str, list[float]]) -> None:
    usual = median(took[kinds[0].title])
    print(f"\n{title}, refused\n\n| login | median | ratio |\n|---|---|---|")
    for kind in kinds:
        middle = median(took[kind.title])
        print(f"| {kind.title} | {middle * 1e3:.1f} ms | {middle / usual:.3f} |")
