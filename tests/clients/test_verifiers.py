"""Services that verify tokens by themselves, with common libraries at their default settings: none
refuses a token across a new replica and a rotation of the signing key.

Everything goes by clocks that are turned: the servers', the command's, and the verifiers'.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import jwt
import pytest

from app.domain.signing_keys import PUBLISHED_AHEAD
from tests.clients.tools import installed_generators
from tests.postgres import new_database
from tests.server_process import Server, attend, environment

HERE = Path(__file__).parent
TURNED = HERE / "turned.py"
PASSWORD = "correct horse battery"
AHEAD = int(PUBLISHED_AHEAD.total_seconds())
# The clock goes on by so many seconds at a time: less than the cooldown of either library.
STEP = 20
REPLICA_AT, ROTATED_AT, ENDS_AT = 60, 460, 900
# Of the verifiers, those stay that are younger than this, and one of so many older ones.
YOUNG, KEPT = 60, 5


class Clock:
    """The seconds by which all clocks are ahead, in a file that servers read."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ahead"
        self.ahead = 0
        self.turn(0)

    def turn(self, ahead: int) -> None:
        self.ahead = ahead
        draft = self.file.with_suffix(".draft")
        draft.write_text(str(ahead))
        os.replace(draft, self.file)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(TURNED), str(self.file), *arguments]


@contextmanager
def serving(clock: Clock, folder: Path, url: str) -> Iterator[Server]:
    folder.mkdir(exist_ok=True)
    settings = {"GATEHOUSE_DATABASE_URL": url, "GATEHOUSE_RATE_LIMITS": "off"}
    process = subprocess.Popen(
        clock.command("serve"),
        cwd=folder,
        env=environment(folder, settings),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    with attend(process) as server:
        yield server


def rotate(clock: Clock, folder: Path, url: str) -> str:
    done = subprocess.run(
        clock.command("signing-keys", "rotate"),
        cwd=folder,
        env=environment(folder, {"GATEHOUSE_DATABASE_URL": url}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split()[0]


class PyJwt:
    """PyJWT's client, at its default settings."""

    def __init__(self, url: str, clock: Clock, patch: pytest.MonkeyPatch) -> None:
        self._url, self._clock = f"{url}/.well-known/jwks.json", clock
        self._verifiers: list[tuple[int, jwt.PyJWKClient]] = []
        turned = SimpleNamespace(monotonic=lambda: time.monotonic() + clock.ahead)

        class Turned(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(tz) + timedelta(seconds=clock.ahead)

        for module in ("jwk_set_cache", "jwks_client", "api_jwk"):
            patch.setattr(f"jwt.{module}.time", turned)
        patch.setattr("jwt.api_jwt.datetime", Turned)

    def add(self) -> None:
        self._verifiers.append((self._clock.ahead, jwt.PyJWKClient(self._url)))

    def verify(self, token: str) -> tuple[int, list[str]]:
        now, refusals = self._clock.ahead, list[str]()
        self._verifiers = [
            (since, keys)
            for since, keys in self._verifiers
            if now - since <= YOUNG or since % (KEPT * STEP) == 0
        ]
        for _, keys in self._verifiers:
            try:
                jwt.decode(
                    token,
                    keys.get_signing_key_from_jwt(token),
                    algorithms=["ES256"],
                    issuer="gatehouse",
                    audience="gatehouse",
                )
            except jwt.PyJWTError as error:
                refusals.append(repr(error))
        return len(self._verifiers) - len(refusals), refusals


class Jose:
    """npm's jose, at its default settings."""

    def __init__(self, process: "subprocess.Popen[str]", clock: Clock) -> None:
        self._process, self._clock = process, clock

    def add(self) -> None:
        self._ask()

    def verify(self, token: str) -> tuple[int, list[str]]:
        said = self._ask(token=token)
        return said["verified"], said["refusals"]

    def _ask(self, **request: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"ahead": self._clock.ahead, **request}), file=self._process.stdin)
        self._process.stdin.flush()
        return cast("dict[str, Any]", json.loads(self._process.stdout.readline()))


@contextmanager
def jose(url: str, clock: Clock) -> Iterator[Jose]:
    with installed_generators():
        pass
    with subprocess.Popen(
        ["node", str(HERE / "verify.js"), url, str(YOUNG), str(KEPT * STEP)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Jose(process, clock)
        finally:
            process.kill()


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


class Holder:
    """An account that gets a token of a server at each step."""

    def __init__(self, server: Server) -> None:
        self._client = server.client
        login = {"username": "holder", "password": PASSWORD}
        with suppress(httpx.HTTPStatusError):
            self._client.post("/users/@self", json=login).raise_for_status()
        self._token = self._client.post("/users/auth", json=login).json()["token"]

    def token(self) -> str:
        headers = {"X-Access-Token": self._token}
        self._token = self._client.post("/users/@self/token", headers=headers).json()["token"]
        return str(self._token)

    def token_of(self, kid: str) -> str:
        """A token of a server whose keys are looked at every few milliseconds."""
        latest = time.monotonic() + 20
        while kid_of(token := self.token()) != kid:
            assert time.monotonic() < latest
        return token


def test_no_verifier_refuses_a_token_across_a_new_replica_and_a_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(tmp_path)
    one, other = tmp_path / "one", tmp_path / "other"
    with ExitStack() as stack:
        url = stack.enter_context(new_database())
        first = stack.enter_context(serving(clock, one, url))
        libraries: dict[str, PyJwt | Jose] = {
            "PyJWT": PyJwt(first.greeting["url"], clock, monkeypatch),
            "jose": stack.enter_context(jose(first.greeting["url"], clock)),
        }
        holders = [Holder(first)]
        old, following = kid_of(holders[0].token()), ""
        verified, kids = dict.fromkeys(libraries, 0), set[str]()
        replica: Server | None = None
        for now in range(0, ENDS_AT + 1, STEP):
            clock.turn(now)
            if now == REPLICA_AT:
                replica = stack.enter_context(serving(clock, other, url))
            if now == ROTATED_AT:
                following = rotate(clock, one, url)
            if replica is not None and len(holders) == 1:
                ready = replica.client.get("/health/ready")
                assert (ready.status_code == 200) <= (now >= REPLICA_AT + AHEAD)
                if now >= REPLICA_AT + AHEAD + STEP:
                    until_ready(replica)
                    holders.append(Holder(replica))
            tokens = [holder.token() for holder in holders]
            if following and now >= ROTATED_AT + AHEAD + STEP:
                tokens[0] = holders[0].token_of(following)
            elif following and now < ROTATED_AT + AHEAD:
                assert kid_of(tokens[0]) == old
            kids |= set(map(kid_of, tokens))
            for name, library in libraries.items():
                for token in tokens:
                    count, refusals = library.verify(token)
                    assert refusals == [], (name, now, refusals)
                    verified[name] += count
                # Its key set is fetched at its first token: as it is just before the next step.
                library.add()
                library.verify(tokens[0])
        assert len(holders) == 2
        assert kids >= {old, following}
        assert len(kids) == 3
        assert min(verified.values()) > 500
    print(f"\nverified, none refused: {verified}")


def until_ready(server: Server) -> None:
    latest = time.monotonic() + 20
    while server.client.get("/health/ready").status_code != 200:
        assert time.monotonic() < latest
        time.sleep(0.05)
