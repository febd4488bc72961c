"""Starting, stopping and looking after a gateway, with the commands an operator has."""

import os
import pty
import signal
import socket
import stat
import subprocess
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from tests.server_process import command, environment, run, serving

KEY = "A1B2C3D4-aaaa-bbbb-cccc-ddddeeee"
PASSWORD = "correct horse battery"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_everything_for_its_owner_alone_and_a_later_one_keeps_it(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server:
        var = tmp_path / "var"
        assert server.greeting["admin_key"] == f"in {var / 'admin-key'}"
        assert mode(var) == 0o700
        assert {mode(path) for path in var.rglob("*") if path.is_file()} == {0o600}
        assert {mode(path) for path in var.rglob("*") if path.is_dir()} == {0o700}
        key = {"X-Access-Token": server.admin_key}
        users = server.client.get("/users", headers=key).json()
    assert [user["username"] for user in users.values()] == ["admin"]
    with serving(tmp_path) as later:
        assert "admin_key" not in later.greeting
        assert later.client.get("/users", headers=key).json().keys() == users.keys()


def test_in_a_terminal_the_first_key_is_shown_once_and_not_written(tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        command("serve"), cwd=tmp_path, env=environment(tmp_path, {}), stderr=terminal
    )
    os.close(terminal)
    said = ""
    while "shown only once" not in said:
        said += os.read(screen, 4096).decode()
    process.terminate()
    assert process.wait(timeout=20) == 0
    os.close(screen)
    assert "X-Access-Token" in said
    assert "/docs" in said
    assert not (tmp_path / "var" / "admin-key").exists()


def test_the_operators_own_first_key_is_used_and_not_shown(tmp_path: Path) -> None:
    with serving(tmp_path, GATEHOUSE_BOOTSTRAP_ADMIN_KEY=KEY) as server:
        assert server.client.get("/users", headers={"X-Access-Token": KEY}).status_code == 200
        assert KEY not in server.log.until('"path":"/users"')
    other = KEY.replace("dddd", "ffff")
    with serving(tmp_path, GATEHOUSE_BOOTSTRAP_ADMIN_KEY=other) as server:
        assert server.client.get("/users", headers={"X-Access-Token": other}).status_code == 401


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"GATEHOUSE_BOOTSTRAP_ADMIN_KEY": "secret"}, "groups of 8, 4, 4, 4 and 8"),
        ({"GATEHOUSE_HOST": "192.0.2.1"}, "Set GATEHOUSE_HOST to an address of this machine"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start_with_a_sentence(
    tmp_path: Path, settings: dict[str, str], sentence: str
) -> None:
    done = run(tmp_path, "serve", **settings)
    assert done.status in {1, 2}
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert "secret" not in done.err
    assert not (tmp_path / "var").exists()


def test_a_setting_in_a_dotenv_file_counts_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEHOUSE_REGISTRATION=closed\n")
    with serving(tmp_path) as server:
        body = {"username": "demo", "password": PASSWORD}
        assert server.client.post("/users/@self", json=body).status_code == 403
    (tmp_path / ".env").write_text("GATEHOUSE_REGISTRATIONS=closed\n")
    assert "GATEHOUSE_REGISTRATIONS" in run(tmp_path, "serve").err


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run(tmp_path, "serve", GATEHOUSE_PORT=str(port))
    assert done.status == 1
    assert f"Port {port} at 127.0.0.1 is in use" in done.err
    assert not (tmp_path / "var").exists()


def test_a_data_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path, "serve", GATEHOUSE_DATA_DIR=str(tmp_path / "file" / "var"))
    assert done.status == 1
    assert "Not a directory" in done.err
    assert "Traceback" not in done.err


def test_sigterm_answers_what_was_accepted_and_ends_with_status_zero(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        statuses: list[int] = []
        begun = Event()

        def sign_up() -> None:
            for number in range(100):
                body = {"username": f"user{number}", "password": PASSWORD}
                try:
                    statuses.append(server.client.post("/users/@self", json=body).status_code)
                except httpx.TransportError:
                    return
                begun.set()

        load = Thread(target=sign_up, daemon=True)
        load.start()
        assert begun.wait(timeout=20)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=15) == 0
        assert set(statuses) == {201}
