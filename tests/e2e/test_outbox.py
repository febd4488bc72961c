"""The outbox with a real server, a panel on loopback, and the operator's commands."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

import pytest

from tests.commands import run_here
from tests.faults.panel import FakePanel, Mood, open_panel
from tests.server_process import Server, serving

SERVER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
KEY = "OUTBOX00-abcd-1234-EFGH-abcdefgh"


@pytest.fixture
def panel() -> Iterator[FakePanel]:
    with open_panel(Random(0)) as panel:
        yield panel


@pytest.fixture
def settings(panel: FakePanel) -> dict[str, str]:
    return {
        "GATEHOUSE_PANEL_URL": panel.url,
        "GATEHOUSE_PANEL_TOKEN": "secret-of-the-panel",
        "GATEHOUSE_BOOTSTRAP_ADMIN_KEY": KEY,
    }


def sign_up(server: Server, panel: FakePanel, name: str = "alice") -> str:
    """The uuid of a user who has a running server."""
    made = server.client.post(
        "/users",
        headers={"X-Access-Token": KEY, "Prefer": "return=representation"},
        json={"username": name, "email": f"{name}@example.com"},
    ).json()
    panel.servers[made["uuid"]] = {SERVER: True}
    return str(made["uuid"])


def messages(folder: Path, settings: dict[str, str], *options: str) -> list[dict[str, Any]]:
    listed = run_here(folder, "outbox", "list", "--json", *options, **settings)
    assert listed.status == 0, listed.err
    found: list[dict[str, Any]] = json.loads(listed.out)["messages"]
    return found


def becomes(panel: FakePanel, uuid: str, *, active: bool) -> None:
    end = monotonic() + 30
    while panel.servers[uuid][SERVER] is not active:
        assert monotonic() < end
        sleep(0.02)


def test_a_server_stops_and_starts_with_its_owner_through_every_interface(
    tmp_path: Path, panel: FakePanel, settings: dict[str, str]
) -> None:
    with serving(tmp_path, **settings) as server:
        uuid = sign_up(server, panel)
        server.client.delete(f"/users/{uuid}", headers={"X-Access-Token": KEY})
        becomes(panel, uuid, active=False)
        # What the command line leaves, a running server finds.
        assert run_here(tmp_path, "users", "enable", "alice", **settings).status == 0
        becomes(panel, uuid, active=True)
        server.log.until("message delivered")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0
    # Where the settings are not those of the server.
    done = run_here(tmp_path, "users", "disable", "alice")
    assert (done.status, done.out, done.err.count("\n")) == (0, "alice is disabled.\n", 1)
    assert "GATEHOUSE_PANEL_URL" in done.err
    assert "enable the account and disable it again" in done.err


def test_the_operator_sees_to_what_could_not_be_delivered(
    tmp_path: Path, panel: FakePanel, settings: dict[str, str]
) -> None:
    panel.mood = Mood.DOWN
    with serving(tmp_path, **settings) as server:
        for name in ("alice", "bobby"):
            uuid = sign_up(server, panel, name)
            server.client.delete(f"/users/{uuid}", headers={"X-Access-Token": KEY})
        server.log.until("delivery failed")
        metrics = server.client.get("/metrics").text
        assert 'gatehouse_outbox_messages{kind="servers",state="waiting"} 2.0' in metrics
        assert 'gatehouse_outbox_oldest_seconds{kind="servers",state="waiting"}' in metrics
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0
    other, first = messages(tmp_path, settings)
    assert (first["state"], first["payload"]) == ("waiting", {"disabled": True})
    assert "panel" in first["error"]
    assert run_here(tmp_path, "outbox", "retry", str(first["id"]), **settings).status == 0
    assert run_here(tmp_path, "outbox", "drop", str(other["id"]), **settings).status == 0
    (again,) = messages(tmp_path, settings, "--state", "waiting", "--user", "alice")
    assert (again["id"], again["attempts"]) == (first["id"], 0)
    gone = run_here(tmp_path, "outbox", "retry", str(other["id"]), **settings)
    assert (gone.status, "no message" in gone.err) == (1, True)


def test_a_delivery_in_progress_is_released_when_the_server_stops(
    tmp_path: Path, panel: FakePanel, settings: dict[str, str]
) -> None:
    with serving(tmp_path, **settings) as server:
        uuid = sign_up(server, panel)
        panel.answers.clear()
        server.client.delete(f"/users/{uuid}", headers={"X-Access-Token": KEY})
        assert panel.kept_waiting.wait(30)
        # Without notice: the panel is waited for no longer than that would take.
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=30) == 0
    panel.answers.set()
    with serving(tmp_path, **settings) as server:
        # Long before a lease would have ended.
        becomes(panel, uuid, active=False)
        server.log.until("message delivered")
        (done,) = server.client.get("/outbox", headers={"X-Access-Token": KEY}).json()
    assert done["attempts"] == 1
