"""The audit trail: what an entry tells, what leaves one, and what an admin reads of it."""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.audit import Door, EntryFilter
from app.domain.credentials import Origin
from app.domain.errors import (
    AccountDisabled,
    DomainError,
    Forbidden,
    InvalidCredentials,
    InvalidInput,
    LastAdmin,
    UsernameTaken,
    UserNotFound,
    WrongPassword,
)
from app.domain.ports.store import Transaction
from app.operations import operator
from app.operations.admin_users import AdminCreateUser
from app.operations.credentials import CreateKey
from app.operations.framework.audit_log import make_entry
from app.operations.framework.context import Caller
from app.operations.framework.services import Services
from app.operations.operator import OPERATOR_CALLER
from tests.fakes.memory import MemoryStore
from tests.fakes.ports import START, FakeClock
from tests.fakes.services import PASSWORD, account, do, log_in, make_services, sign_up, with_key

pytestmark = pytest.mark.anyio

ORIGIN = Origin("192.0.2.7", "curl/8", Door.REST, "a-request")
WRONG = "wrong horse battery"
SERVER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


async def trail(services: Services, **members: Any) -> list[Any]:
    """The entries, the newest first, as the operator reads them."""
    page = await do(services, "admin.audit.list", OPERATOR_CALLER, **members)
    entries: list[Any] = page["entries"]
    return entries


async def newest(services: Services) -> Any:
    return (await trail(services, limit=1))[0]


def change(before: Any, after: Any) -> dict[str, Any]:
    return {"before": before, "after": after}


# ------------------------------------------------------------------------- what an entry tells


async def test_an_entry_tells_who_did_what_to_whom_when_from_where_and_with_what(
    services: Services, admin: Caller, clock: FakeClock
) -> None:
    alice = await sign_up(services, "alice")
    clock.turn(timedelta(hours=1))
    caller = Caller(admin.credential, ORIGIN)
    await do(services, "admin.users.update", caller, uuid=alice.uuid.upper(), admin=True)
    assert await newest(services) == {
        "id": 3,
        "at": clock.now(),
        "actor": (await account(services, "admin")).uuid,
        "action": "admin.users.update",
        "outcome": "done",
        "target": {"kind": "user", "id": alice.uuid},
        "changes": {"admin": change(0, 1)},
        "door": "rest",
        "address": "192.0.2.7",
        "request_id": "a-request",
        "credential": {"kind": "key", "id": str(admin.credential)[:8]},
    }


async def test_secret_and_personal_fields_are_recorded_by_name_only(
    services: Services, admin: Caller
) -> None:
    alice = await sign_up(services, "alice")
    members = {
        "username": "alicia",
        "email": "alice@example.com",
        "password": "a new horse",
        "display_name": "Alicia",
        "disabled": True,
    }
    await do(services, "admin.users.update", admin, uuid=alice.uuid, **members)
    assert (await newest(services))["changes"] == {
        "username": change("alice", "alicia"),
        "disabled": change(0, 1),
        "email": None,
        "display_name": None,
        "password": None,
    }


async def test_a_sign_up_has_no_actor_and_a_login_has_the_user(services: Services) -> None:
    await do(services, "users.create", Caller(origin=ORIGIN), username="alice", password=PASSWORD)
    alice = await account(services, "alice")
    signed_up = await newest(services)
    await do(services, "users.auth", Caller(origin=ORIGIN), username="alice", password=PASSWORD)
    logged_in = await newest(services)
    assert (signed_up["actor"], signed_up["credential"]) == (None, None)
    assert signed_up["changes"] == {"username": change(None, "alice")}
    assert signed_up["target"] == logged_in["target"] == {"kind": "user", "id": alice.uuid}
    assert (logged_in["actor"], logged_in["credential"]["kind"]) == (alice.uuid, "session")
    assert logged_in["changes"] == {"session": change(None, logged_in["credential"]["id"])}


async def test_an_ended_session_and_a_revoked_key_are_named(
    services: Services, alice: Caller
) -> None:
    other, key = await log_in(services, "alice"), await with_key(services, alice)
    sessions = await do(services, "sessions.list", other)
    ended = next(session["id"] for session in sessions if not session["current"])
    await do(services, "sessions.revoke", other, id=ended)
    assert (await newest(services))["changes"] == {"session": change(ended, None)}
    await do(services, "keys.revoke", other, id=str(key.credential)[:8])
    assert (await newest(services))["changes"] == {"key": change(str(key.credential)[:8], None)}


async def test_a_changed_password_tells_that_the_keys_went_with_it(
    services: Services, alice: Caller
) -> None:
    await with_key(services, alice)
    members = {"current": PASSWORD, "password": "another horse", "revoke_keys": True}
    await do(services, "users.password", alice, **members)
    assert (await newest(services))["changes"] == {"password": None, "keys": None}


async def test_a_server_tells_whose_it_was_and_whether_it_runs(services: Services) -> None:
    alice, bobby = [await sign_up(services, name) for name in ("alice", "bobby")]
    puts: list[dict[str, Any]] = [
        {"owner": alice.uuid},
        {"owner": str(bobby.id), "active": False},
        {"owner": bobby.uuid},
    ]
    for members in puts:
        context = {"uuid": SERVER, "name": "Survival", **members}
        await do(services, "admin.servers.put", OPERATOR_CALLER, **context)
    await do(services, "admin.servers.delete", OPERATOR_CALLER, uuid=SERVER)
    deleted, moved, made = await trail(services, target=SERVER)
    assert made["changes"] == {
        "owner": change(None, alice.uuid),
        "name": None,
        "active": change(None, 1),
    }
    assert moved["changes"] == {"owner": change(alice.uuid, bobby.uuid), "active": change(1, 0)}
    assert deleted["changes"] == {"owner": change(bobby.uuid, None)}


# --------------------------------------------------------------------------- what leaves none


async def test_an_operation_without_a_change_leaves_no_entry(
    services: Services, alice: Caller
) -> None:
    uuid = (await account(services, "alice")).uuid
    await do(services, "admin.users.disable", OPERATOR_CALLER, uuid=uuid)
    before = await trail(services)
    await do(services, "admin.users.disable", OPERATOR_CALLER, uuid=uuid)
    await do(services, "admin.users.update", OPERATOR_CALLER, uuid=uuid, username="ALICE")
    await do(services, "admin.sessions.revoke", OPERATOR_CALLER, uuid=uuid)
    await do(services, "admin.keys.revoke", OPERATOR_CALLER, uuid=uuid)
    await do(services, "admin.users.get", OPERATOR_CALLER, uuid=uuid)
    assert await trail(services) == before


async def test_presence_comes_and_goes_without_an_entry(services: Services, alice: Caller) -> None:
    before = await trail(services)
    await do(services, "users.presence", alice, presence="ONLINE")
    assert await trail(services) == before


@pytest.mark.parametrize(
    ("operation", "members", "refusal"),
    [
        ("users.create", {"username": "alice", "password": PASSWORD}, UsernameTaken),
        ("admin.users.create", {"username": "alice", "email": "a@example.com"}, UsernameTaken),
        ("users.update", {"username": "bobby"}, UsernameTaken),
    ],
)
@pytest.mark.usefixtures("bobby")
async def test_a_refused_change_leaves_no_entry(
    services: Services,
    alice: Caller,
    admin: Caller,
    operation: str,
    members: dict[str, Any],
    refusal: type[DomainError],
) -> None:
    before = await trail(services)
    with pytest.raises(refusal):
        await do(services, operation, admin if operation.startswith("admin") else alice, **members)
    assert await trail(services) == before


class FullStore(MemoryStore):
    """Has no room for another line of the trail."""

    async def write(self, work: Any, *, is_durable: bool = True) -> Any:
        def without_room(tx: Transaction) -> Any:
            result = work(tx)
            assert not tx.audit.list_page(EntryFilter(), None, 1), "no room"
            return result

        return await super().write(without_room)


async def test_an_entry_that_cannot_be_written_undoes_the_change() -> None:
    services = make_services(store=FullStore())
    with pytest.raises(AssertionError, match="no room"):
        await do(services, "users.create", username="alice", password=PASSWORD)
    assert await services.store.read(lambda tx: tx.users.get_by_username("alice")) is None


# -------------------------------------------------------------------------------- refusals


async def fail_to_log_in(services: Services, username: str, password: str = WRONG) -> None:
    members = {"username": username, "password": password}
    with pytest.raises((InvalidCredentials, AccountDisabled)):
        await do(services, "users.auth", Caller(origin=ORIGIN), **members)


async def test_a_wrong_password_is_on_record_without_an_actor(services: Services) -> None:
    alice = await sign_up(services, "alice")
    await fail_to_log_in(services, "ALICE")
    entry = await newest(services)
    assert (entry["action"], entry["outcome"]) == ("users.auth", "invalid-credentials")
    assert (entry["actor"], entry["target"]["id"]) == (None, alice.uuid)
    assert (entry["address"], entry["changes"]) == ("192.0.2.7", {})


async def test_an_unknown_name_leaves_no_entry(services: Services) -> None:
    for name in ("nobody", "not a name", PASSWORD):
        await fail_to_log_in(services, name)
    assert await trail(services) == []


async def test_the_right_password_of_a_disabled_account_is_on_record(services: Services) -> None:
    await sign_up(services, "alice")
    await operator.set_disabled(services, "alice", True)
    await fail_to_log_in(services, "alice", PASSWORD)
    assert (await newest(services))["outcome"] == "account-disabled"


async def test_a_wrong_current_password_is_on_record_with_whose_session_it_was(
    services: Services, alice: Caller
) -> None:
    with pytest.raises(WrongPassword):
        await do(services, "users.password", alice, current=WRONG, password="another horse")
    entry = await newest(services)
    assert (entry["action"], entry["outcome"]) == ("users.password", "wrong-password")
    assert entry["actor"] == entry["target"]["id"] == (await account(services, "alice")).uuid


async def test_guessing_leaves_one_entry_a_minute_for_each_account(
    services: Services, clock: FakeClock
) -> None:
    for name in ("alice", "bobby"):
        await sign_up(services, name)
    for _ in range(3):
        for _ in range(3):
            await fail_to_log_in(services, "alice")
        await fail_to_log_in(services, "bobby")
        clock.turn(timedelta(seconds=61))
    assert len(await trail(services, outcome="invalid-credentials")) == 6


async def test_a_forbidden_operation_is_recorded_once_a_minute(
    services: Services, alice: Caller, clock: FakeClock
) -> None:
    uuid = (await account(services, "alice")).uuid
    for operation in ("admin.users.disable", "admin.users.get", "admin.users.disable"):
        with pytest.raises(Forbidden):
            await do(services, operation, alice, uuid=uuid)
    (entry,) = await trail(services, outcome="forbidden")
    assert (entry["actor"], entry["action"], entry["target"]) == (uuid, "admin.users.disable", None)
    assert entry["credential"]["kind"] == "session"
    clock.turn(timedelta(seconds=61))
    with pytest.raises(Forbidden):
        await do(services, "admin.servers.list", alice)
    assert len(await trail(services, outcome="forbidden")) == 2


# ---------------------------------------------------------------------------- the operator


async def test_the_first_admin_and_the_key_are_recorded(services: Services, admin: Caller) -> None:
    (entry,) = await trail(services)
    assert (entry["actor"], entry["door"]) == ("operator", "command line")
    assert entry["changes"] == {
        "username": change(None, "admin"),
        "admin": change(0, 1),
        "key": change(None, str(admin.credential)[:8]),
    }


async def test_the_operators_actions_are_recorded_as_such(services: Services) -> None:
    await operator.create_account(services, AdminCreateUser("alice", None))
    made = await operator.create_key_for(services, "alice", CreateKey("cli"))
    await operator.revoke_key(services, made["id"])
    await operator.set_disabled(services, "alice", True)
    await operator.set_disabled(services, "alice", False)
    record = operator.record_rotation(services)
    await services.store.write(lambda tx: record(tx, "old", "new"))
    entries = await trail(services, actor="operator")
    assert [entry["action"] for entry in entries] == [
        "signing-keys.rotate",
        "admin.users.update",
        "admin.users.disable",
        "admin.keys.revoke",
        "keys.create",
        "admin.users.create",
    ]
    assert {entry["door"] for entry in entries} == {"command line"}
    assert entries[0]["target"] == {"kind": "signing-key", "id": "new"}
    assert entries[0]["changes"] == {"signing_key": change("old", "new")}


async def test_the_operator_who_is_refused_leaves_no_entry(
    services: Services, admin: Caller
) -> None:
    before = await trail(services)
    with pytest.raises(LastAdmin):
        await operator.set_disabled(services, "admin", True)
    assert not await operator.create_first_admin(services, str(admin.credential))
    assert await trail(services) == before


# --------------------------------------------------------------------------------- reading


async def test_an_account_is_found_by_uuid_and_by_snowflake(
    services: Services, alice: Caller
) -> None:
    user = await account(services, "alice")
    for name in (user.uuid, user.uuid.upper(), str(user.id)):
        assert len(await trail(services, actor=name)) == 1
        assert len(await trail(services, target=name)) == 2


@pytest.mark.parametrize("name", ["nobody", "0", "1", "9" * 40, "\0", "\ud7ff", SERVER, "%"])
async def test_an_unknown_target_finds_nothing(services: Services, name: str) -> None:
    await sign_up(services, "alice")
    assert await trail(services, target=name) == []


@pytest.mark.parametrize("name", ["nobody", "0", "1", "9" * 40, "\0", "\ud7ff", SERVER, "%"])
async def test_an_unknown_actor_action_or_outcome_is_an_error(
    services: Services, name: str
) -> None:
    with pytest.raises(UserNotFound):
        await trail(services, actor=name)
    for member in ("action", "outcome"):
        with pytest.raises(InvalidInput, match=f"{member}: is no {member} of the audit trail"):
            await trail(services, **{member: name})


async def test_the_nearest_action_is_named_and_those_of_earlier_releases_are_found(
    services: Services,
) -> None:
    with pytest.raises(InvalidInput, match=r"the nearest is 'admin\.users\.disable'"):
        await trail(services, action="admin.users.disabel")
    entry = make_entry("users.former", None, Origin(), START, outcome="former")
    await services.store.write(lambda tx: tx.audit.add(entry))
    for members in ({"action": "users.former"}, {"outcome": "former"}):
        assert len(await trail(services, **members)) == 1
    for action in ("restored", "outbox.drop", "signing-keys.rotate", "auth.verify", "metrics"):
        assert await trail(services, action=action) == []


async def test_a_guild_is_found_by_its_snowflake(services: Services) -> None:
    alice = await sign_up(services, "alice")
    guild = {"id": "5", "name": "Builders", "owner_id": alice.uuid}
    await do(services, "admin.guilds.put", OPERATOR_CALLER, **guild)
    (entry,) = await trail(services, target="5")
    assert entry["target"] == {"kind": "guild", "id": "5"}


async def test_since_is_within_and_until_is_not(services: Services, clock: FakeClock) -> None:
    for name in ("alice", "bobby", "clara"):
        await sign_up(services, name)
        clock.turn(timedelta(minutes=1))
    bounds = {"since": "2026-01-01T13:01:00+01:00", "until": "2026-01-01T12:02:00.000Z"}
    (entry,) = await trail(services, **bounds)
    assert entry["changes"] == {"username": change(None, "bobby")}


@pytest.mark.parametrize("time", ["", "yesterday", "2026-01-01", "2026-01-01T12:00:00", "9" * 99])
@pytest.mark.parametrize("member", ["since", "until"])
async def test_a_time_that_is_none_is_named(services: Services, member: str, time: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await trail(services, **{member: time})
    assert [field_error.name for field_error in refusal.value.field_errors] == [member]


async def test_pages_end_to_end_are_the_whole_trail(services: Services, clock: FakeClock) -> None:
    for number in range(7):
        await sign_up(services, f"user{number}")
        clock.turn(timedelta(seconds=number % 2))
    whole, found, cursor = await trail(services), [], None
    while True:
        page = await do(services, "admin.audit.list", OPERATOR_CALLER, limit=3, cursor=cursor)
        found += page["entries"]
        if (cursor := page["next"]) is None:
            break
    assert found == whole
    assert len(whole) == 7


async def test_a_cursor_belongs_to_its_filters(services: Services) -> None:
    for name in ("alice", "bobby"):
        await sign_up(services, name)
    page = await do(services, "admin.audit.list", OPERATOR_CALLER, limit=1)
    for members in ({"action": "users.create"}, {"cursor": "nonsense"}):
        with pytest.raises(InvalidInput):
            await trail(services, **{"cursor": page["next"], **members})


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_page_has_1_to_1000_entries(services: Services, limit: int) -> None:
    with pytest.raises(InvalidInput):
        await trail(services, limit=limit)
