"""The operator's commands, each from a directory of its own."""

import json
import stat
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns

import pytest

from tests.server import run, serving

ROOT = Path(__file__).parents[2]
NAMES = ["number", "uuid", "username", "email", "marks"]


@pytest.fixture
def house(tmp_path: Path, migrated: Path) -> Path:
    """A migrated store below a directory, as `gatehouse migrate` leaves it."""
    (tmp_path / "var").mkdir(mode=0o700)
    database = tmp_path / "var" / "gatehouse.sqlite3"
    copyfile(migrated, database)
    database.chmod(0o600)
    return tmp_path


def listed(house: Path, *options: str) -> list[dict[str, str]]:
    lines = run(house, "users", "list", *options).out.splitlines()
    return [dict(zip(NAMES, line.split("\t"), strict=True)) for line in lines]


def test_before_anything_was_migrated_a_command_says_so_and_makes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "users", "list")
    assert (done.status, done.out) == (1, "")
    assert "gatehouse migrate" in done.err
    assert not (tmp_path / "var").exists()


def test_without_the_migrations_beside_it_a_command_says_what_is_missing(tmp_path: Path) -> None:
    copytree(ROOT / "app", tmp_path / "site" / "app", ignore=ignore_patterns("__pycache__"))
    done = run(tmp_path, "migrate", PYTHONPATH=str(tmp_path / "site"))
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert "There are no migrations" in done.err


def test_migrating_makes_the_store_and_doing_it_again_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert run(tmp_path, "migrate").status == 0
    assert run(tmp_path, "users", "list").status == 0


def test_an_account_is_created_listed_disabled_and_enabled(house: Path) -> None:
    made = run(house, "users", "create", "Someone", "--email", "a@example.com", "--admin").out
    assert made.splitlines()[1].startswith("password\t")
    (row,) = listed(house)
    assert (row["username"], row["email"], row["marks"]) == ("someone", "a@example.com", "admin")
    assert run(house, "users", "create", "another", "--admin").status == 0
    assert run(house, "users", "disable", "someone").status == 0
    assert [row["username"] for row in listed(house)] == ["another"]
    assert [row["username"] for row in listed(house, "--status", "disabled")] == ["someone"]
    assert run(house, "users", "enable", "someone").status == 0
    assert len(listed(house)) == 2


def test_a_password_can_come_from_standard_input(house: Path) -> None:
    made = run(house, "users", "create", "demo", "--password-stdin", stdin="rawPassword1\n")
    assert (made.status, "rawPassword1" in made.out) == (0, False)
    weak = run(house, "users", "create", "other", "--password-stdin", stdin="password\n")
    assert (weak.status, weak.err) == (1, "gatehouse: This password is too common\n")


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
def test_what_cannot_be_done_is_a_sentence_and_status_one(
    house: Path, arguments: list[str], sentence: str
) -> None:
    assert run(house, "users", "create", "demo", "--admin").status == 0
    done = run(house, *arguments)
    assert (done.status, done.out) == (1, "")
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_keys_are_created_listed_and_revoked(house: Path) -> None:
    run(house, "users", "create", "demo")
    key = run(house, "keys", "create", "demo", "--name", "panel").out.strip()
    assert run(house, "keys", "list", "demo").out.startswith(f"{key[:8]}\tpanel\t")
    assert run(house, "keys", "revoke", key[:8]).status == 0
    assert run(house, "keys", "list", "demo").out == ""


def test_a_limited_key_is_listed_with_its_limits(house: Path) -> None:
    run(house, "users", "create", "demo")
    limits = ["--scope", "read", "--network", "10.0.0.0/8", "--network", "2001:db8::/32"]
    key = run(house, "keys", "create", "demo", *limits).out.strip()
    shown = run(house, "keys", "list", "demo").out.rstrip("\n").split("\t")
    assert (shown[0], shown[-2:]) == (key[:8], ["read", "10.0.0.0/8 2001:db8::/32"])
    assert run(house, "keys", "revoke", key[:8]).status == 0
    refused = run(house, "keys", "create", "demo", "--scope", "write")
    assert (refused.status, refused.out) == (2, "")


def test_signing_keys_are_listed_and_rotated(house: Path) -> None:
    first = run(house, "signing-keys", "list").out.split("\t")[0]
    second = run(house, "signing-keys", "rotate").out.strip()
    lines = run(house, "signing-keys", "list").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [first, second]
    assert [line.endswith("\t-") for line in lines] == [False, True]
    assert stat.S_IMODE((house / "var" / "signing-key.pem").stat().st_mode) == 0o600


def test_what_commands_change_is_in_the_audit_trail_that_one_of_them_lists(house: Path) -> None:
    uuid = run(house, "users", "create", "demo").out.split("\t")[1]
    run(house, "keys", "create", "demo")
    run(house, "users", "disable", "demo")
    kid = run(house, "signing-keys", "rotate").out.strip()
    entries = [json.loads(line) for line in run(house, "audit", "list").out.splitlines()]
    assert [(entry["action"], entry["target"]["id"]) for entry in entries] == [
        ("signing-keys.rotate", kid),
        ("admin.users.disable", uuid),
        ("keys.create", uuid),
        ("admin.users.create", uuid),
    ]
    assert {(entry["actor"], entry["door"]) for entry in entries} == {("operator", "command line")}


def test_the_listed_part_of_the_audit_trail_can_be_chosen(house: Path) -> None:
    uuid = run(house, "users", "create", "demo").out.split("\t")[1]
    run(house, "users", "create", "other")
    chosen = ["--target", uuid, "--actor", "operator", "--action", "admin.users.create"]
    times = ["--since", "2000-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z"]
    assert len(run(house, "audit", "list", *chosen, *times).out.splitlines()) == 1
    assert len(run(house, "audit", "list", "--limit", "1").out.splitlines()) == 1
    assert run(house, "audit", "list", "--until", "2000-01-01T00:00:00Z").out == ""
    assert "RFC 3339" in run(house, "audit", "list", "--since", "yesterday").err


def test_a_failed_login_is_on_record_when_the_server_has_ended(house: Path) -> None:
    uuid = run(house, "users", "create", "demo").out.split("\t")[1]
    with serving(house) as server:
        for _ in range(3):
            login = {"username": "demo", "password": "wrong horse battery"}
            assert server.client.post("/users/auth", json=login).status_code == 401
        server.process.terminate()
        assert server.process.wait(timeout=20) == 0
    entries = run(house, "audit", "list", "--target", uuid).out.splitlines()
    assert [json.loads(line)["outcome"] for line in entries] == ["invalid-credentials", "done"]


def test_the_openapi_document_is_printed(tmp_path: Path) -> None:
    document = json.loads(run(tmp_path, "openapi").out)
    assert document["openapi"].startswith("3.1")
    assert "/rpc" in document["paths"]


def test_the_doctor_finds_a_new_house_wanting_and_a_started_one_sound(house: Path) -> None:
    before = run(house, "doctor")
    assert (before.status, "BAD  admin" in before.out) == (1, True)
    run(house, "users", "create", "demo", "--admin")
    after = run(house, "doctor")
    assert (after.status, "BAD" in after.out) == (0, False)
    (house / "var" / "signing-key.pem").chmod(0o644)
    exposed = run(house, "doctor")
    assert (exposed.status, "others may reach it" in exposed.out) == (1, True)


@pytest.mark.parametrize("name", ["gatehouse.sqlite3", "signing-key.pem"])
def test_a_spoiled_file_is_a_sentence_to_a_command_and_a_finding_to_the_doctor(
    house: Path, name: str
) -> None:
    run(house, "users", "create", "demo", "--admin")
    for leftover in (house / "var").glob(f"{name}*"):
        leftover.write_bytes(b"spoiled" * 1000)
    for arguments in (["users", "list"], ["doctor"]):
        done = run(house, *arguments)
        assert done.status == 1
        assert "Traceback" not in done.err
        assert name in done.out + done.err


def test_where_the_first_admins_name_is_in_use_the_start_says_what_to_do(house: Path) -> None:
    run(house, "users", "create", "admin")
    done = run(house, "serve", GATEHOUSE_PORT="0")
    assert done.status == 1
    assert "gatehouse users create NAME --admin" in done.err
    assert not (house / "var" / "admin-key").exists()
