"""`gatehouse`: what the operator does at the command line. Each command calls use cases."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from app import bootstrap
from app.bootstrap import House, StartError, database_of, open_house, prepare_store
from app.config import Settings, SettingsError, load_settings
from app.domain.bounds import Scope
from app.domain.errors import DomainError
from app.domain.outbox import State
from app.domain.users import Status
from app.imports import nothing_to_collect
from app.logs import configure_logs
from app.security.signing import SigningKeyError
from app.storage.errors import StoreError
from app.usecases import operator
from app.usecases.admin_audit import ListAudit
from app.usecases.admin_outbox import ListOutbox
from app.usecases.admin_users import AdminCreateUser, ListUsers
from app.usecases.credentials import CreateKey
from app.usecases.operation import UNSET
from app.usecases.paging import LIMIT_DEFAULT
from app.usecases.registry import OPERATIONS
from app.usecases.services import Services
from app.workers import shared_metrics

T = TypeVar("T")

app = typer.Typer(
    help="One user directory with two doors.", no_args_is_help=True, pretty_exceptions_enable=False
)
users = typer.Typer(help="Accounts.", no_args_is_help=True)
keys = typer.Typer(help="Access keys.", no_args_is_help=True)
signing_keys = typer.Typer(help="The keys that tokens are signed with.", no_args_is_help=True)
audit = typer.Typer(help="The audit trail.", no_args_is_help=True)
outbox = typer.Typer(help="What is still to happen outside.", no_args_is_help=True)
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
app.add_typer(signing_keys, name="signing-keys")
app.add_typer(audit, name="audit")
app.add_typer(outbox, name="outbox")

Username = Annotated[str, typer.Argument(help="The account's username.")]
Numbers = Annotated[list[int], typer.Argument(help="The messages' numbers.")]


def main() -> None:
    """Run the command. What goes wrong is a sentence on stderr, and exit status 1 or 2."""
    try:
        app()
    except SettingsError as error:
        _fail(str(error), 2)
    except (StoreError, SigningKeyError, StartError) as error:
        _fail(str(error), 1)
    except DomainError as error:
        _fail(error.detail, 1)
    except OSError as error:
        _fail(f"{error.filename or 'The system refuses'}: {error.strerror or error}.", 1)


def _fail(sentence: str, status: int) -> None:
    print(f"gatehouse: {sentence}", file=sys.stderr)
    sys.exit(status)


def _settings() -> Settings:
    settings = load_settings()
    configure_logs(settings.log_format)
    return settings


def _in_house(work: Callable[[House], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_house(_settings()) as house:
            return await work(house)

    return asyncio.run(run())


@app.command()
def serve() -> None:
    """Migrate, make the first admin where there is none, and serve until SIGTERM."""
    # Imported where it is used, here and below: no other command waits for the web framework.
    settings = _settings()
    with shared_metrics(settings.workers):
        with nothing_to_collect():
            from app.serve import serve as run_server

        run_server(settings)


@app.command()
def migrate() -> None:
    """Bring the database to the schema of this release."""
    settings = _settings()
    prepare_store(settings)
    print(f"{database_of(settings)} is at the present schema.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to; nothing may be there yet.")],
) -> None:
    """Copy the database, while the server runs, to one file, and verify it (SQLite)."""
    contents = bootstrap.back_up(_settings(), file)
    print(f"{file}: {_counted(contents.rows['users'], 'account')}, schema {contents.revision}")


KeepCredentials = Annotated[
    bool,
    typer.Option("--keep-credentials", help="End no session and no access key."),
]


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What 'gatehouse backup' wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Where there is a database, keep that one beside.")
    ] = False,
    keep_credentials: KeepCredentials = False,
) -> None:
    """Put a backup in the database's place, and end all credentials (SQLite; no server runs)."""
    done = bootstrap.restore(_settings(), file, replace=replace, keep_credentials=keep_credentials)
    print(f"Restored: {_counted(done.contents.rows['users'], 'account')}.")
    if done.kept_as is not None:
        print(f"The database that was there is kept as {done.kept_as}.")
    _tell(done.restored)


@app.command()
def restored(keep_credentials: KeepCredentials = False) -> None:
    """After another tool restored the database: end all credentials (no server runs)."""
    settings = _settings()
    _tell(asyncio.run(bootstrap.settle_restored(settings, keep_credentials=keep_credentials)))


def _tell(restored: operator.Restored) -> None:
    good = restored.credentials
    counted = f"{_counted(good.sessions, 'session')} and {_counted(good.keys, 'access key')}"
    if restored.kept:
        print(f"{counted} are good again, also what was ended since the backup.")
    else:
        print(f"{counted} are ended: everybody logs in again; make new keys.")
    as_of = "the backup" if restored.as_of is None else restored.as_of.isoformat()
    print(
        f"What was changed after {as_of} is as it was before: passwords, names, who is disabled, "
        "who is admin."
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from app.rest.openapi import openapi_document

    print(json.dumps(openapi_document(_settings().public_url), ensure_ascii=False, indent=2))


@app.command()
def openrpc() -> None:
    """Print the OpenRPC document."""
    from app.rpc.openrpc import openrpc_document

    print(json.dumps(openrpc_document(_settings().public_url), ensure_ascii=False, indent=2))


@app.command()
def doctor() -> None:
    """Look at the installation, within seconds; exit status 1 where something is not sound."""
    from app.doctor import Mark, examine

    findings = asyncio.run(examine(_settings()))
    for finding in findings:
        print(f"{finding.mark:4} {finding.subject}: {finding.detail}")
    if any(finding.mark is Mark.BAD for finding in findings):
        raise typer.Exit(1)


@users.command("create")
def users_create(
    username: Username,
    email: Annotated[str | None, typer.Option(help="His e-mail address.")] = None,
    admin: Annotated[bool, typer.Option(help="Whether he is an admin.")] = False,
    password_stdin: Annotated[
        bool, typer.Option(help="Read the password from standard input, else generate one.")
    ] = False,
) -> None:
    """Create an account; a generated password is printed this once."""
    password = sys.stdin.readline().rstrip("\n") if password_stdin else UNSET
    command = AdminCreateUser(username, email or "", password, admin)
    user = _in_house(lambda house: operator.create_account(house.services, command, email))
    print(f"{user['username']}\t{user['uuid']}\t{user['user_id']}")
    if "password" in user:
        print(f"password\t{user['password']}")


@users.command("list")
def users_list(
    status: Annotated[Status, typer.Option(help="Which accounts.")] = Status.ACTIVE,
) -> None:
    """List accounts: number, uuid, username, e-mail, and what is special about each."""

    async def work(house: House) -> None:
        listing = OPERATIONS["admin.users.list"]
        wanted = ListUsers(status=status)
        pieces = listing.stream(house.services, operator.AT_THE_COMMAND_LINE, wanted)
        async for piece in pieces:
            for uuid, user in json.loads(piece).items():
                marks = [mark for mark in ("admin", "disabled") if user.get(mark)]
                row = [str(user["id"]), uuid, user["username"], user["email"] or "-"]
                print("\t".join([*row, ",".join(marks) or "-"]))

    _in_house(work)


@users.command("disable")
def users_disable(username: Username) -> None:
    """Disable an account: its sessions and keys end, its servers stop."""
    _set_disabled(username, True)


@users.command("enable")
def users_enable(username: Username) -> None:
    """Enable an account again; the servers that disabling stopped start."""
    _set_disabled(username, False)


def _set_disabled(username: str, disabled: bool) -> None:
    if not _in_house(lambda house: operator.set_disabled(house.services, username, disabled)):
        done, undone = ("disable", "enable") if disabled else ("enable", "disable")
        print(
            "gatehouse: There is a panel, which is not told of this, since GATEHOUSE_PANEL_URL is "
            f"not set here: with the server's settings, {undone} the account and {done} it again.",
            file=sys.stderr,
        )


@users.command("unlock")
def users_unlock(username: Username) -> None:
    """Lift the lock that too many wrong passwords have put on an account."""
    _in_house(lambda house: operator.unlock(house.services, username))


@keys.command("create")
def keys_create(
    username: Username,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "command line",
    expires_at: Annotated[str | None, typer.Option(help="When it ends, RFC 3339.")] = None,
    scope: Annotated[Scope, typer.Option(help="How much of what its owner may.")] = Scope.ADMIN,
    network: Annotated[
        list[str] | None,
        typer.Option(help="Where it may be used from, in CIDR notation; may be given repeatedly."),
    ] = None,
) -> None:
    """Make an access key for an account and print it, this once."""
    command = CreateKey(name, expires_at, scope, network)
    made = _in_house(lambda house: operator.create_key_for(house.services, username, command))
    print(made["key"])


@keys.command("list")
def keys_list(username: Username) -> None:
    """List an account's access keys: id, name, created, expires, last used, scope, networks."""
    for key in _in_house(lambda house: operator.keys_of(house.services, username)):
        times = [key["created_at"], key["expires_at"], key["last_used_at"]]
        shown = [time.isoformat() if time else "-" for time in times]
        networks = " ".join(key["networks"] or ["-"])
        print("\t".join([key["id"], key["name"], *shown, key["scope"], networks]))


@keys.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id: its first group.")],
) -> None:
    """Revoke an access key; it is dead at once."""
    _in_house(lambda house: operator.revoke_key(house.services, key_id))


@signing_keys.command("list")
def signing_keys_list() -> None:
    """List the public keys that tokens are verified with: kid, created, retired."""
    for key in _in_house(lambda house: operator.published_keys(house.services)):
        retired = key.retired_at.isoformat() if key.retired_at else "-"
        print(f"{key.kid}\t{key.created_at.isoformat()}\t{retired}")


@signing_keys.command("rotate")
def signing_keys_rotate() -> None:
    """Sign with a new key from now on; everybody stays logged in."""

    def rotate(house: House) -> Awaitable[str]:
        recorded = operator.record_rotation(house.services)
        return house.signing.rotate(house.services.store, recorded)

    print(_in_house(rotate))


@audit.command("list")
def audit_list(
    actor: Annotated[str | None, typer.Option(help="Who acted: a uuid, or operator.")] = None,
    target: Annotated[str | None, typer.Option(help="What was touched, by its id.")] = None,
    action: Annotated[str | None, typer.Option(help="The operation's name.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time, RFC 3339.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = LIMIT_DEFAULT,
) -> None:
    """List the audit trail, the newest entry first: each as one line of JSON."""
    given = {
        "actor": actor,
        "target": target,
        "action": action,
        "since": since,
        "until": until,
    }
    wanted = ListAudit(
        limit=limit, **{name: value for name, value in given.items() if value is not None}
    )
    page = _in_house(lambda house: operator.audit_trail(house.services, wanted))
    for entry in page["entries"]:
        print(json.dumps(entry, ensure_ascii=False, default=datetime.isoformat))


@outbox.command("list")
def outbox_list(
    user: Annotated[str | None, typer.Option(help="Whom it is about: a username.")] = None,
    state: Annotated[State | None, typer.Option(help="What became of it so far.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = LIMIT_DEFAULT,
) -> None:
    """List the messages of the outbox, the newest first: each as one line of JSON."""
    wanted = ListOutbox(state=UNSET if state is None else state, limit=limit)
    page = _in_house(lambda house: operator.outbox(house.services, wanted, user))
    for message in page["messages"]:
        print(json.dumps(message, ensure_ascii=False, default=datetime.isoformat))


@outbox.command("retry")
def outbox_retry(numbers: Numbers) -> None:
    """Have messages that wait or are dead delivered from now on."""
    _each(numbers, operator.retry_message)


@outbox.command("drop")
def outbox_drop(numbers: Numbers) -> None:
    """Take messages that wait or are dead out of the outbox: what they ask for does not happen."""
    _each(numbers, operator.drop_message)


def _each(numbers: list[int], work: Callable[[Services, int], Awaitable[None]]) -> None:
    async def run(house: House) -> None:
        for number in numbers:
            await work(house.services, number)

    _in_house(run)
