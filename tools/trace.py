"""Print the files of `app/` that a request passes, with the number of calls in each.

    python -m tools.trace users.auth|@self|PUT|… [--postgresql URL]

A server in this process gets the request three times. The first one, which imports and compiles, is
not shown. A write precedes the second, so that no cached response serves it; nothing precedes the
third. Both engines are traced where `--postgresql` names a server that may create databases.
"""

import json
import signal
import sys
import threading
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from dis import opmap
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from types import FrameType

import app
from app.logs.setup import configure_logs
from app.main import create_app
from app.server.run import serve
from bench import accounts, works
from bench.accounts import PASSWORD
from bench.bench import Bench, Plan
from bench.engines import Engine, Postgresql, Sqlite
from bench.processes import free_port
from bench.seed import ADMIN_KEY, Dataset, settings_with
from bench.works import Request

ACCOUNTS = 100
# Seconds: for the server to start, and for what follows an earlier answer.
START, PAUSE = 2.0, 0.3
ROOT = f"{Path(app.__file__).parent}/"
_ADMIN = (("X-Access-Token", ADMIN_KEY),)
_RESUME = opmap["RESUME"]


def _token(data: Dataset, n: int = 0) -> tuple[str, str]:
    return "Authorization", f"Bearer {data.tokens[n]}"


def _rpc(method: str, params: dict[str, str], *headers: tuple[str, str]) -> Request:
    call = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
    return Request("POST", "/rpc", (works.JSON, *headers), json.dumps(call).encode())


def _put(_: Dataset, n: int) -> Request:
    user = {"username": accounts.username(3), "email": f"mail{n}@example.com", "admin": 0}
    path, headers = f"/users/{accounts.uuid(3)}", (works.JSON, *_ADMIN)
    return Request("PUT", path, headers, json.dumps(user).encode())


def _presence(data: Dataset, n: int) -> Request:
    return _rpc("users.presence", {"presence": ("ONLINE", "IDLE")[n % 2]}, _token(data, 1))


def _auth(_: Dataset, _n: int) -> Request:
    return _rpc("users.auth", {"username": accounts.username(1), "password": PASSWORD})


# The request of each name: the `n`th, where it differs from the one before.
REQUESTS: dict[str, Callable[[Dataset, int], Request]] = {
    "@self": lambda data, _: Request("GET", "/users/@self", (_token(data),)),
    "PUT": _put,
    "page": lambda _data, _n: Request("GET", "/users?limit=100", _ADMIN),
    "presence": _presence,
    "users.auth": _auth,
    "users.check": lambda _, n: _rpc("users.check", {"username": accounts.username(n)}),
    "users.self": lambda data, _: _rpc("users.self", {}, _token(data)),
}


class Calls:
    """Calls of functions of `app/`, counted by file while `is_counting`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.is_counting = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Count a call; the profile function of every thread."""
        code = frame.f_code
        if not self.is_counting or event != "call" or not code.co_filename.startswith(ROOT):
            return
        # A coroutine that goes on after an `await` is no new call.
        at = frame.f_lasti
        if code.co_code[at : at + 2] == bytes((_RESUME, 0)):
            self.counts[code.co_filename.removeprefix(ROOT)] += 1


def ask(port: int, wanted: Request, calls: Calls | None = None) -> None:
    """Send a request and read its answer, which must be a good one."""
    connection = HTTPConnection("127.0.0.1", port)
    connection.connect()
    sleep(PAUSE)
    if calls is not None:
        calls.counts.clear()
        calls.is_counting = True
    connection.request(wanted.method, wanted.path, wanted.body or None, dict(wanted.headers))
    answer = connection.getresponse()
    body = answer.read()
    if calls is not None:
        calls.is_counting = False
    connection.close()
    if answer.status >= 300 or b'"error"' in body:
        raise SystemExit(f"{wanted.method} {wanted.path}: {answer.status} {body.decode()}")


def trace(bench: Bench, name: str) -> None:
    """Trace the request of this name on the engine of the run."""
    calls, make, port = Calls(), REQUESTS[name], free_port()
    with bench.dataset() as data:

        def ask_thrice() -> None:
            try:
                ask(port, make(data, 0))
                ask(port, _presence(data, 0))
                for n, title in enumerate(("after a write", "again"), 1):
                    ask(port, make(data, n), calls)
                    report(f"{name} on {bench.engine.name}, {title}", calls.counts)
            finally:
                signal.raise_signal(signal.SIGINT)

        client = threading.Timer(START, ask_thrice)
        client.start()
        sys.setprofile(calls)
        threading.setprofile(calls)
        try:
            serve(settings_with(**data.settings, port=str(port)), create_app)
        except SystemExit:
            client.join()
        finally:
            sys.setprofile(None)


def report(title: str, counts: Counter[str]) -> None:
    """Print what was counted."""
    print(f"{title}: {counts.total()} calls in {len(counts)} files")
    for file, count in sorted(counts.items()):
        print(f"  {count:4} {file}")


def main() -> None:
    """Trace as the command line says."""
    parser = ArgumentParser(prog="python -m tools.trace", description=__doc__.partition("\n")[0])
    parser.add_argument("request", choices=REQUESTS)
    parser.add_argument("--postgresql", metavar="URL")
    given = parser.parse_args()
    configure_logs("json")
    engines: list[Engine] = [Sqlite()]
    if given.postgresql is not None:
        engines.append(Postgresql(given.postgresql))
    plan = Plan(1, 1, ACCOUNTS, ACCOUNTS, ACCOUNTS, 0, 0)
    for engine in engines:
        with (
            TemporaryDirectory(prefix="trace-") as folder,
            Bench(plan, Path(folder), engine) as bench,
        ):
            trace(bench, given.request)


if __name__ == "__main__":
    main()
