"""Commands for accounts against a running server: the same rules, and why a user cannot sign in."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from app.domain.rate_limits import FAILURES_BEFORE_LOCK
from tests.commands import run_here, run_in_terminal
from tests.server_process import Server, command, environment, serving

PASSWORD, WRONG = "correct horse battery", "wrong horse battery"
NEW = "another horse battery"
NOBODY = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operated")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as started:
        yield started


def create(folder: Path, name: str, *options: str) -> Any:
    return printed(
        folder, "users", "create", name, "--password-stdin", *options, stdin=f"{PASSWORD}\n"
    )


def printed(folder: Path, *words: str, stdin: str = "") -> Any:
    done = run_here(folder, *words, "--json", stdin=stdin)
    assert (done.status, done.err) == (0, ""), words
    return json.loads(done.out)


def log_in(server: Server, name: str, password: str = PASSWORD) -> Any:
    return server.client.post("/users/auth", json={"username": name, "password": password})


def code_of(server: Server, name: str, password: str = PASSWORD) -> str | None:
    response = log_in(server, name, password)
    return None if response.status_code == 200 else str(response.json()["code"])


# ---------------------------------------------------------------------- the rules of the APIs

BAD = "x@"
# Each with the request whose error it has: method, path and body, where {uuid} is an account's.
SAME_ERRORS: list[tuple[str, str, str, dict[str, Any] | None]] = [
    ("users create x", "POST", "/users", {"username": "x", "email": None}),
    ("users create parity", "POST", "/users", {"username": "parity", "email": None}),
    ("users create paritу1", "POST", "/users", {"username": "paritу1", "email": None}),
    (f"users create fine --email {BAD}", "POST", "/users", {"username": "fine", "email": BAD}),
    (
        "users create fine --email parity@example.com",
        "POST",
        "/users",
        {"username": "fine", "email": "parity@example.com"},
    ),
    ("users update parity --username x", "PUT", "/users/{uuid}", {"username": "x"}),
    ("users update parity --username admin", "PUT", "/users/{uuid}", {"username": "admin"}),
    (f"users update parity --email {BAD}", "PUT", "/users/{uuid}", {"email": BAD}),
    ("users update parity --display-name \x07", "PUT", "/users/{uuid}", {"display_name": "\x07"}),
    ("users update admin --no-admin", "PUT", "/users/{admin}", {"admin": 0}),
    ("users disable admin", "DELETE", "/users/{admin}", None),
    ("users list --sort age", "GET", "/users?sort=age", None),
    ("users list --limit 0", "GET", "/users?limit=0", None),
    ("users list --limit 1001", "GET", "/users?limit=1001", None),
    ("users list --limit 5 --cursor x", "GET", "/users?limit=5&cursor=x", None),
    ("users list --user-id x", "GET", "/users?user_id=x", None),
    (f"users list --email {BAD}", "GET", f"/users?email={BAD}", None),
    (f"users list --q {'x' * 255}", "GET", f"/users?q={'x' * 255}", None),
    ("audit list --action nonsense", "GET", "/audit?action=nonsense", None),
    ("audit list --outcome nonsense", "GET", "/audit?outcome=nonsense", None),
    ("audit list --since yesterday", "GET", "/audit?since=yesterday", None),
    ("audit list --limit 1001", "GET", "/audit?limit=1001", None),
    ("outbox list --limit 1001", "GET", "/outbox?limit=1001", None),
]


def test_commands_fail_with_the_errors_of_the_apis(folder: Path, server: Server) -> None:
    made = create(folder, "parity", "--email", "parity@example.com")
    admin = printed(folder, "users", "show", "admin")
    credential = {"X-Access-Token": server.admin_key}
    for line, method, path, body in SAME_ERRORS:
        done = run_here(folder, *line.split(" "), "--json")
        assert (done.status, done.out) == (1, ""), line
        error = json.loads(done.err)["error"]
        target = path.format(uuid=made["uuid"], admin=admin["uuid"])
        problem = server.client.request(method, target, headers=credential, json=body).json()
        assert (error["code"], error["detail"]) == (problem["code"], problem["detail"]), line


@pytest.mark.parametrize(
    "line",
    [
        *(f"users {verb} nobody" for verb in ("show", "disable", "enable", "unlock", "sessions")),
        "users update nobody --admin",
        "users password nobody --generate",
        "users end-sessions nobody",
        "users list --username nobody",
        f"users show {NOBODY}",
        "keys create nobody",
        "keys list nobody",
        "keys revoke --all nobody",
        "audit list --actor nobody",
        "outbox list --account nobody",
    ],
)
def test_an_unknown_account_is_an_error(folder: Path, server: Server, line: str) -> None:
    done = run_here(folder, *line.split(), "--json")
    assert (done.status, done.out) == (1, "")
    assert json.loads(done.err)["error"]["code"] == "user-not-found"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("audit list --target nothing", "not-found"),
        ("users end-sessions admin --session nothing", "not-found"),
        ("keys revoke AAAAAAAA", "not-found"),
        ("users update admin", "invalid-input"),
        ("users update admin --email a@example.com --no-email", "invalid-input"),
        ("users list --status new", "usage"),
        ("outbox list --state new", "usage"),
        ("users password admin secret", "usage"),
    ],
)
def test_a_missing_or_unusable_argument_is_an_error(
    folder: Path, server: Server, line: str, code: str
) -> None:
    done = run_here(folder, *line.split(), "--json")
    assert (done.status > 0, done.out) == (True, "")
    assert json.loads(done.err)["error"]["code"] == code


def test_an_account_is_changed_by_any_of_its_names(folder: Path, server: Server) -> None:
    made = create(folder, "changer", "--email", "changer@example.com", "--display-name", "One")
    for number, name in enumerate((*map(made.get, ("uuid", "user_id", "email")), "CHANGER")):
        changed = printed(folder, "users", "update", str(name), "--display-name", f"N{number}")
        assert (changed["uuid"], changed["display_name"]) == (made["uuid"], f"N{number}")
    changed = printed(folder, "users", "update", "changer", "--no-email", "--username", "changed")
    assert (changed["username"], changed["email"]) == ("changed", None)
    assert printed(folder, "users", "update", "changed", "--admin")["admin"] == 1
    assert printed(folder, "users", "update", "changed", "--no-admin")["admin"] == 0


def test_the_list_is_filtered_sorted_and_paged(folder: Path, server: Server) -> None:
    for name in ("lister1", "lister2", "lister3"):
        create(folder, name)
    chosen = ["users", "list", "--q", "lister", "--sort", "-username"]
    names = [user["username"] for user in printed(folder, *chosen)["users"].values()]
    assert names == ["lister3", "lister2", "lister1"]
    first = printed(folder, *chosen, "--limit", "2")
    rest = printed(folder, *chosen, "--limit", "2", "--cursor", first["next"])
    assert [user["username"] for user in rest["users"].values()] == ["lister1"]
    assert rest["next"] is None
    assert printed(folder, *chosen, "--admin") == {"users": {}, "next": None}
    done = run_here(folder, *chosen, "--limit", "1")
    assert (len(done.out.splitlines()), done.err) == (1, "")


# ------------------------------------------------------------------------------- passwords


def test_a_new_password_ends_sessions_and_the_old_one(folder: Path, server: Server) -> None:
    create(folder, "resetter")
    token = log_in(server, "resetter").json()["token"]
    assert len(printed(folder, "users", "sessions", "resetter")) == 1
    done = run_here(folder, "users", "password", "resetter", stdin=f"{NEW}\r\n")
    assert (done.status, done.err, NEW in done.out) == (0, "", False)
    whoami = server.client.get("/users/@self", headers={"Authorization": f"Bearer {token}"})
    assert whoami.status_code == 401
    assert (code_of(server, "resetter"), code_of(server, "resetter", NEW)) == (
        "invalid-credentials",
        None,
    )
    generated = printed(folder, "users", "password", "resetter", "--generate")["password"]
    assert code_of(server, "resetter", generated) is None


@pytest.mark.parametrize(
    ("stdin", "part"),
    [
        ("", "no password on standard input"),
        ("\n", "8 to 128 characters"),
        ("password\n", "too common"),
        ("x" * 5000, "8 to 128 characters"),
    ],
)
def test_a_password_that_cannot_be_set_changes_nothing(
    folder: Path, server: Server, stdin: str, part: str
) -> None:
    before = printed(folder, "users", "show", "admin")
    done = run_here(folder, "users", "password", "admin", stdin=stdin)
    assert (done.status, done.out, part in done.err) == (1, "", True)
    assert printed(folder, "users", "show", "admin") == before


@pytest.mark.parametrize(("second", "status"), [(PASSWORD, 0), (NEW, 1)])
def test_a_terminal_is_asked_twice_without_an_echo(
    folder: Path, server: Server, second: str, status: int
) -> None:
    name = f"typist{status}"
    run_here(folder, "users", "create", name)
    ours, theirs = pty.openpty()
    asked = subprocess.Popen(
        ["setsid", "--ctty", *command("users", "password", name)],
        cwd=folder,
        env=environment(folder, {}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = answer(ours, b"Password: ", PASSWORD) + answer(ours, b"The same again: ", second)
    seen += read_to_end(ours)
    assert asked.wait(timeout=30) == status
    assert PASSWORD.encode() not in seen
    assert (b"differ" in seen) == (status == 1)
    assert (code_of(server, name) is None) == (status == 0)


def answer(terminal: int, question: bytes, text: str) -> bytes:
    """Type a line when the question is there; return what was printed."""
    seen = b""
    while question not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, f"{text}\n".encode())
    return seen


def read_to_end(terminal: int) -> bytes:
    seen = b""
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:
        # Linux reports the end of a terminal like this.
        pass
    os.close(terminal)
    return seen


# ------------------------------------------------------------------- why a user cannot sign in


def obstacles(report: Any) -> list[str]:
    return [obstacle["code"] for obstacle in report["obstacles"]]


def test_the_report_says_why_a_user_cannot_sign_in(folder: Path, server: Server) -> None:
    assert obstacles(printed(folder, "users", "show", "admin")) == ["no-password"]
    create(folder, "stranded", "--admin")
    assert code_of(server, "stranded") is None
    run_here(folder, "keys", "create", "stranded", "--name", "panel")
    report = printed(folder, "users", "show", "stranded")
    assert (obstacles(report), report["wrong_passwords"], report["has_password"]) == ([], [], True)
    assert [key["name"] for key in report["keys"]] == ["panel"]
    assert [session["address"] for session in report["sessions"]] == ["127.0.0.1"]
    assert [login["outcome"] for login in report["logins"]] == ["done"]

    codes = [code_of(server, "stranded", WRONG) for _ in range(FAILURES_BEFORE_LOCK + 1)]
    assert codes[-1] == "rate-limited"
    report = printed(folder, "users", "show", "stranded")
    assert obstacles(report) == ["locked"]
    (wrong,) = report["wrong_passwords"]
    assert (wrong["network"], wrong["failures"]) == ("127.0.0.1", FAILURES_BEFORE_LOCK)
    assert wrong["locked_until"] == report["locked_until"] is not None
    logged = {(entry["action"], entry["outcome"]) for entry in until_logged(folder, "users.lock")}
    assert logged == {
        ("users.lock", "done"),
        ("users.auth", "invalid-credentials"),
        ("users.auth", "done"),
    }
    text = run_in_terminal(folder, "users", "show", "stranded")
    assert "'gatehouse users unlock stranded' unlocks the account." in text
    assert f"Wrong passwords: {FAILURES_BEFORE_LOCK}" in text
    assert "state         active, admin, locked" in text
    assert text.count("FROM") == text.count("AGENT") == text.count("SCOPE") == 1

    assert run_here(folder, "users", "unlock", "stranded").out == "stranded is unlocked.\n"
    assert code_of(server, "stranded") is None
    run_here(folder, "users", "disable", "stranded")
    assert code_of(server, "stranded") == "account-disabled"
    report = printed(folder, "users", "show", "stranded")
    assert (obstacles(report), report["sessions"], report["keys"]) == (["account-disabled"], [], [])


def until_logged(folder: Path, action: str) -> list[dict[str, Any]]:
    """The logins of an account as soon as one has this action: refusals are written afterwards."""
    end = monotonic() + 10
    while True:
        logins: list[dict[str, Any]] = printed(folder, "users", "show", "stranded")["logins"]
        if any(entry["action"] == action for entry in logins):
            return logins
        assert monotonic() < end, logins


def test_sessions_and_keys_end_by_one_command(folder: Path, server: Server) -> None:
    create(folder, "leaver")
    for _ in range(3):
        assert code_of(server, "leaver") is None
    for _ in range(2):
        run_here(folder, "keys", "create", "leaver")
    first = printed(folder, "users", "sessions", "leaver")[0]["id"]
    ended = [printed(folder, "users", "end-sessions", "leaver", "--session", first)]
    ended += [printed(folder, "users", "end-sessions", "leaver") for _ in range(2)]
    assert ended == [{"ended": 1}, {"ended": 2}, {"ended": 0}]
    assert len(printed(folder, "keys", "revoke", "leaver", "--all")["revoked"]) == 2
    assert printed(folder, "keys", "list", "leaver") == []
