"""A real server and a range service that is a real one, too, in good moods and in bad ones."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.commands import run_here
from tests.server_process import Server, serving

BREACHED = "known from a breach"
KNOWN = (BREACHED, "password")
DIGESTS = [sha1(known.encode(), usedforsecurity=False).hexdigest().upper() for known in KNOWN]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
Mood = Callable[[socket.socket, Event], None]


def knowing(connection: socket.socket, _: Event) -> None:
    asked = connection.recv(4096).split(b" ")[1].decode()
    found = [f"{digest[5:]}:37\r\n" for digest in DIGESTS if asked == f"/range/{digest[:5]}"]
    connection.sendall(HEAD + "".join(found).encode())


def silent(_: socket.socket, over: Event) -> None:
    over.wait()


def dripping(connection: socket.socket, over: Event) -> None:
    connection.sendall(HEAD)
    while not over.wait(0.05):
        connection.sendall(b"\n")


def huge(connection: socket.socket, over: Event) -> None:
    connection.sendall(HEAD)
    while not over.is_set():
        connection.sendall(b"\n" * 65536)


@contextmanager
def range_service(mood: Mood) -> Iterator[str]:
    """The address of a service on loopback that treats each connection by its mood."""
    over = Event()
    threads: list[Thread] = []

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                mood(connection, over)
            except OSError:
                return

    def listen() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(Thread(target=answer, args=[connection]))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads.append(Thread(target=listen))
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/range"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()


def sign_up(server: Server, username: str, password: str = BREACHED) -> int:
    account = {"username": username, "password": password}
    return server.client.post("/users/@self", json=account).status_code


def test_a_known_password_is_refused_whatever_proxy_the_environment_names(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    with (
        range_service(knowing) as url,
        serving(tmp_path, GATEHOUSE_PASSWORD_RANGE_URL=url, **nowhere) as server,
    ):
        assert sign_up(server, "alice") == 400
        assert sign_up(server, "alice", "a horse of another colour") == 201


@pytest.mark.parametrize("mood", [silent, dripping, huge])
def test_a_failing_service_does_not_prevent_sign_ups(tmp_path: Path, mood: Mood) -> None:
    with (
        range_service(mood) as url,
        serving(tmp_path, GATEHOUSE_PASSWORD_RANGE_URL=url) as server,
    ):
        assert [sign_up(server, f"somebody{n}") for n in range(5)] == [201] * 5
        log = server.log.until("breached password check failed")
    assert DIGESTS[0][:5] not in log


def test_an_unreachable_service_does_not_prevent_sign_ups(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_PASSWORD_RANGE_URL="http://127.0.0.1:1/range") as server:
        assert sign_up(server, "alice") == 201
        server.log.until("breached password check failed")


@pytest.mark.parametrize(("mood", "said"), [(knowing, "ok "), (silent, "BAD")])
def test_the_doctor_asks_it_for_a_password_that_everybody_knows(
    tmp_path: Path, mood: Mood, said: str
) -> None:
    assert run_here(tmp_path, "migrate").status == 0
    with range_service(mood) as url:
        done = run_here(tmp_path, "doctor", GATEHOUSE_PASSWORD_RANGE_URL=url)
    (line,) = (line for line in done.out.splitlines() if "password ranges" in line)
    assert line.startswith(said)
