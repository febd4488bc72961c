"""The operator's commands, each from a directory of its own."""

import json
import stat
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copyfile, copytree

import pytest

from tests.commands import run_here
from tests.server_process import run, serving

ROOT = Path(__file__).parents[2]
NAMES = ["number", "uuid", "username", "email", "marks"]


@pytest.fixture
def folder(tmp_path: Path, migrated: Path) -> Path:
    """A migrated store below a directory, as `gatehouse migrate` leaves it."""
    (tmp_path / "var").mkdir(mode=0o700)
    database = tmp_path / "var" / "gatehouse.sqlite3"
    copyfile(migrated, database)
    database.chmod(0o600)
    return tmp_path


def listed(folder: Path, *options: str) -> list[dict[str, str]]:
    lines = run_here(folder, "users", "list", *options).out.splitlines()
    return [dict(zip(NAMES, line.split("\t"), strict=True)) for line in lines]


def test_before_anything_was_migrated_a_command_says_so_and_makes_nothing(tmp_path: Path) -> None:
    done = run_here(tmp_path, "users", "list")
    assert (done.status, done.out) == (1, "")
    assert "gatehouse migrate" in done.err
    assert not (tmp_path / "var").exists()


def test_without_the_migrations_beside_it_a_command_says_what_is_missing(tmp_path: Path) -> None:
    copytree(ROOT / "app", tmp_path / "site" / "app")
    done = run(tmp_path, "migrate", PYTHONPATH=str(tmp_path / "site"))
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "There are no migrations" in done.err


def test_migrating_makes_the_store_and_doing_it_again_changes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "migrate").status == 0
    assert run_here(tmp_path, "migrate").status == 0
    assert run_here(tmp_path, "users", "list").status == 0


def test_an_account_is_created_listed_disabled_and_enabled(folder: Path) -> None:
    made = run_here(folder, "users", "create", "Someone", "--email", "a@example.com", "--admin").out
    assert made.splitlines()[1].startswith("password\t")
    (row,) = listed(folder)
    assert (row["username"], row["email"], row["marks"]) == ("someone", "a@example.com", "admin")
    assert run_here(folder, "users", "create", "another", "--admin").status == 0
    assert run_here(folder, "users", "disable", "someone").status == 0
    assert [row["username"] for row in listed(folder)] == ["another"]
    assert [row["username"] for row in listed(folder, "--status", "disabled")] == ["someone"]
    assert run_here(folder, "users", "enable", "someone").status == 0
    assert len(listed(folder)) == 2


def test_a_password_can_come_from_standard_input(folder: Path) -> None:
    made = run(folder, "users", "create", "demo", "--password-stdin", stdin="rawPassword1\n")
    assert (made.status, "rawPassword1" in made.out) == (0, False)
    weak = run_here(folder, "users", "create", "other", "--password-stdin", stdin="password\n")
    assert (weak.status, weak.err) == (
        1,
        "gatehouse: This password is too common; choose another one\n",
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["users", "create", "demo"], "already exists"),
        (["users", "create", "x"], "4 to 16 characters"),
        (["users", "create", "fine", "--email", "nothing"], "e-mail"),
        (["users", "disable", "nobody"], "no such user"),
        (["users", "disable", "demo"], "last active admin"),
        (["keys", "create", "nobody"], "no such user"),
        (["keys", "create", "demo", "--expires-at", "soon"], "RFC 3339"),
        (["keys", "create", "demo", "--network", "10.0.0.1/8"], "networks"),
        (["keys", "list", "nobody"], "no such user"),
        (["keys", "revoke", "AAAAAAAA"], "no such access key"),
    ],
)
def test_an_impossible_command_prints_a_sentence_and_exits_with_one(
    folder: Path, arguments: list[str], sentence: str
) -> None:
    assert run_here(folder, "users", "create", "demo", "--admin").status == 0
    done = run_here(folder, *arguments)
    assert (done.status, done.out) == (1, "")
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_keys_are_created_listed_and_revoked(folder: Path) -> None:
    run_here(folder, "users", "create", "demo")
    key = run_here(folder, "keys", "create", "demo", "--name", "panel").out.strip()
    assert run_here(folder, "keys", "list", "demo").out.startswith(f"{key[:8]}\tpanel\t")
    assert run_here(folder, "keys", "revoke", key[:8]).status == 0
    assert run_here(folder, "keys", "list", "demo").out == ""


def test_a_limited_key_is_listed_with_its_limits(folder: Path) -> None:
    run_here(folder, "users", "create", "demo")
    limits = ["--scope", "read", "--network", "10.0.0.0/8", "--network", "2001:db8::/32"]
    key = run_here(folder, "keys", "create", "demo", *limits).out.strip()
    shown = run_here(folder, "keys", "list", "demo").out.rstrip("\n").split("\t")
    assert (shown[0], shown[-2:]) == (key[:8], ["read", "10.0.0.0/8 2001:db8::/32"])
    assert run_here(folder, "keys", "revoke", key[:8]).status == 0
    refused = run_here(folder, "keys", "create", "demo", "--scope", "write")
    assert (refused.status, refused.out) == (2, "")


def test_signing_keys_are_listed_and_rotated(folder: Path) -> None:
    first, first_from = (
        run_here(folder, "signing-keys", "rotate").out.strip().split("\tsigns from ")
    )
    second, second_from = (
        run_here(folder, "signing-keys", "rotate").out.strip().split("\tsigns from ")
    )
    assert run_here(folder, "signing-keys", "rotate").out.split("\t")[0] == second
    lines = [line.split("\t") for line in run_here(folder, "signing-keys", "list").out.splitlines()]
    assert [(kid, signs_from) for kid, _, signs_from, _ in lines] == [
        (first, first_from),
        (second, second_from),
    ]
    created, signs_from = map(datetime.fromisoformat, lines[1][1:3])
    assert signs_from - created == timedelta(minutes=5)
    assert stat.S_IMODE((folder / "var" / "signing-key.pem").stat().st_mode) == 0o600


def test_commands_that_only_read_or_write_accounts_publish_no_key(folder: Path) -> None:
    for arguments in (
        ["users", "create", "demo", "--admin"],
        ["users", "list"],
        ["users", "disable", "nobody"],
        ["keys", "create", "demo"],
        ["audit", "list"],
        ["outbox", "list"],
        ["openapi"],
        ["openrpc"],
        ["doctor"],
        ["migrate"],
        ["backup", "backup.sqlite3"],
        ["restored", "--yes"],
        ["end-all-credentials", "--yes"],
        ["restore", "backup.sqlite3", "--replace"],
        ["signing-keys", "list"],
    ):
        run_here(folder, *arguments)
    assert run_here(folder, "signing-keys", "list").out == ""
    assert not list((folder / "var").glob("signing-key*"))


def test_changes_by_commands_are_listed_in_the_audit_log(folder: Path) -> None:
    uuid = run_here(folder, "users", "create", "demo").out.split("\t")[1]
    run_here(folder, "keys", "create", "demo")
    run_here(folder, "users", "disable", "demo")
    kid = run_here(folder, "signing-keys", "rotate").out.split("\t")[0]
    entries = json.loads(run_here(folder, "audit", "list", "--json").out)["entries"]
    assert [(entry["action"], entry["target"]["id"]) for entry in entries] == [
        ("signing-keys.rotate", kid),
        ("admin.users.disable", uuid),
        ("keys.create", uuid),
        ("admin.users.create", uuid),
    ]
    assert {(entry["actor"], entry["door"]) for entry in entries} == {("operator", "command line")}


def test_the_listed_part_of_the_audit_trail_can_be_chosen(folder: Path) -> None:
    uuid = run_here(folder, "users", "create", "demo").out.split("\t")[1]
    run_here(folder, "users", "create", "other")
    chosen = ["--target", uuid, "--actor", "operator", "--action", "admin.users.create"]
    times = ["--since", "2000-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z"]
    assert len(run_here(folder, "audit", "list", *chosen, *times).out.splitlines()) == 1
    assert len(run_here(folder, "audit", "list", "--limit", "1").out.splitlines()) == 1
    *_, first = run_here(folder, "audit", "list").out.splitlines()
    followed = ["--after", "0", "--limit", "1"]
    assert run_here(folder, "audit", "list", *followed).out.splitlines() == [first]
    assert run_here(folder, "audit", "list", "--until", "2000-01-01T00:00:00Z").out == ""
    assert "RFC 3339" in run_here(folder, "audit", "list", "--since", "yesterday").err


def test_a_failed_login_is_on_record_when_the_server_has_ended(folder: Path) -> None:
    uuid = run_here(folder, "users", "create", "demo").out.split("\t")[1]
    with serving(folder) as server:
        for _ in range(3):
            login = {"username": "demo", "password": "wrong horse battery"}
            assert server.client.post("/users/auth", json=login).status_code == 401
        server.process.terminate()
        assert server.process.wait(timeout=20) == 0
    entries = run_here(folder, "audit", "list", "--target", uuid).out.splitlines()
    assert [line.split("\t")[4] for line in entries] == ["invalid-credentials", "done"]


def test_the_openapi_document_is_printed(tmp_path: Path) -> None:
    document = json.loads(run_here(tmp_path, "openapi").out)
    assert document["openapi"].startswith("3.1")
    assert "/rpc" in document["paths"]


def test_the_doctor_finds_a_new_installation_wanting_and_a_started_one_sound(folder: Path) -> None:
    before = run_here(folder, "doctor")
    assert (before.status, "BAD  admin" in before.out) == (1, True)
    run_here(folder, "users", "create", "demo", "--admin")
    run_here(folder, "signing-keys", "rotate")
    after = run_here(folder, "doctor")
    assert (after.status, "BAD" in after.out) == (0, False)
    (folder / "var" / "signing-key.pem").chmod(0o644)
    exposed = run_here(folder, "doctor")
    assert (exposed.status, "other users can access it" in exposed.out) == (1, True)


@pytest.mark.parametrize("name", ["gatehouse.sqlite3", "signing-key.pem"])
def test_a_spoiled_file_is_a_sentence_to_a_command_and_a_finding_to_the_doctor(
    folder: Path, name: str
) -> None:
    run_here(folder, "users", "create", "demo", "--admin")
    run_here(folder, "signing-keys", "rotate")
    for leftover in (folder / "var").glob(f"{name}*"):
        leftover.write_bytes(b"spoiled" * 1000)
    for start, arguments in (
        (run_here, ["signing-keys", "rotate"]),
        (run, ["serve"]),
        (run_here, ["doctor"]),
    ):
        done = start(folder, *arguments)
        assert done.status == 1
        assert "Traceback" not in done.err
        assert name in done.out + done.err


def test_a_start_with_the_first_admins_name_in_use_says_what_to_do(folder: Path) -> None:
    run_here(folder, "users", "create", "admin")
    done = run(folder, "serve", GATEHOUSE_PORT="0")
    assert done.status == 1
    assert "gatehouse users create NAME --admin" in done.err
    assert not (folder / "var" / "admin-key").exists()
