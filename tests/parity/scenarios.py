"""What people do, written once; each scenario is driven through both doors.

A scenario yields the outcome of each call that is to be compared.
"""

from collections.abc import AsyncIterator, Callable

from app.domain.throttling import CHECKS, FREE_FAILURES, REGISTRATIONS
from tests.fakes.ports import BREACHED
from tests.fakes.services import PASSWORD
from tests.parity.doors import Door, Outcome

Scenario = Callable[[Door, str], AsyncIterator[Outcome]]

NEW_PASSWORD = "another horse, another battery"
NOBODY_UUID = "ffffffff-ffff-4fff-8fff-ffffffffffff"
SERVER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
GUILD = "71395574100676610"


async def _user(door: Door, name: str) -> str:
    await door("users.create", username=name, password=PASSWORD)
    return await _token(door, name)


async def _token(door: Door, name: str, password: str = PASSWORD) -> str:
    login = await door("users.auth", username=name, password=password)
    return str(login.value["token"])


async def _uuid(door: Door, admin: str, name: str) -> str:
    listed = await door("admin.users.list", admin, username=name, status="all", limit=1)
    users = listed.value.get("users", listed.value)
    return str(next(iter(users)))


async def signing_up(door: Door, admin: str) -> AsyncIterator[Outcome]:
    yield await door("users.create", username="ＤｅＭｏ1", password=PASSWORD)
    yield await door("users.create", username="demo1", password=PASSWORD)
    yield await door("users.create", username="demol", password=PASSWORD)
    yield await door("users.create", username="no", password=PASSWORD)
    yield await door("users.create", username="admin", password=PASSWORD)
    yield await door("users.create", username="someone", password="password")
    yield await door("users.create", username="someone", password=PASSWORD, display_name="")
    yield await door("users.create", username="someone", password=PASSWORD, admin=True)
    yield await door("users.create", username="someone")
    yield await door("users.create", username=1, password=PASSWORD)


async def asking_for_a_name(door: Door, admin: str) -> AsyncIterator[Outcome]:
    await _user(door, "demo1")
    for name in ("demo1", "DEMO1", "demol", "demo2", "admin", "no", "a b c"):
        yield await door("users.check", username=name)


async def logging_in_and_out(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    yield await door("users.auth", username="DEMO", password=PASSWORD)
    yield await door("users.auth", username="demo", password="wrong horse battery")
    yield await door("users.auth", username="nobody", password=PASSWORD)
    yield await door("users.refresh", token)
    yield await door("users.logout", token)
    for operation in ("users.self", "users.refresh", "users.logout"):
        yield await door(operation, token)


async def looking_after_ones_account(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    yield await door("users.self", token)
    yield await door("users.self")
    yield await door("users.update", token, display_name="Demo the First")
    yield await door("users.update", token, username="other", display_name="Other")
    yield await door("users.update", token, username="root")
    yield await door("users.update", token, email="me@example.com")
    yield await door("users.create", username="demo", password=PASSWORD)
    yield await door("users.update", token, username="demo")
    yield await door("users.guilds", token)


async def saying_that_one_is_there(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    yield await door("users.presence", token)
    yield await door("users.presence", token, presence="ONLINE")
    yield await door("users.presence", token, presence="AWAY")
    yield await door("users.presence", token, presence=1)
    yield await door("users.self", token)


async def changing_a_password(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token, other = await _user(door, "demo"), await _token(door, "demo")
    key = (await door("keys.create", token, name="bot")).value["key"]
    yield await door("users.password", token, current="wrong", new=NEW_PASSWORD)
    yield await door("users.self", other)
    yield await door("users.password", token, current=PASSWORD, new="demo")
    yield await door("users.password", token, current=PASSWORD, new=NEW_PASSWORD)
    yield await door("users.self", other)
    yield await door("users.self", key)
    yield await door("users.password", token, current=NEW_PASSWORD, new=PASSWORD, revoke_keys=True)
    yield await door("users.self", key)
    yield await door("users.self", token)


async def choosing_a_breached_password(door: Door, admin: str) -> AsyncIterator[Outcome]:
    yield await door("users.create", username="someone", password=BREACHED)
    token = await _user(door, "demo")
    yield await door("users.password", token, current=PASSWORD, new=BREACHED)
    new = {"username": "somebody", "email": "new@example.com"}
    yield await door("admin.users.create", admin, **new, password=BREACHED)
    uuid = await _uuid(door, admin, "demo")
    yield await door("admin.users.update", admin, uuid=uuid, password=BREACHED)
    yield await door("users.auth", username="demo", password=BREACHED)
    yield await door("users.auth", username="demo", password=PASSWORD)


async def keeping_sessions(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    for _ in range(3):
        await _token(door, "demo")
    listed = await door("sessions.list", token)
    yield listed
    others = [session["id"] for session in listed.value if not session["current"]]
    yield await door("sessions.revoke", token, id=others[0])
    yield await door("sessions.revoke", token, id=others[0])
    yield await door("sessions.revoke", token, id=NOBODY_UUID)
    yield await door("sessions.revoke", token)
    yield await door("sessions.list", token)


async def keeping_keys(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    created = await door("keys.create", token, name="bot", expires_at="2100-01-01T00:00:00Z")
    yield created
    yield await door("keys.create", token, name="")
    yield await door("keys.create", token, name="bot", expires_at="yesterday")
    yield await door("keys.list", token)
    for operation in ("users.self", "users.refresh", "users.logout"):
        yield await door(operation, created.value["key"])
    yield await door("keys.revoke", token, id=created.value["id"])
    yield await door("keys.revoke", token, id=created.value["id"])
    yield await door("users.self", created.value["key"])


async def limiting_keys(door: Door, admin: str) -> AsyncIterator[Outcome]:
    """The client is at 203.0.113.9."""
    token = await _user(door, "demo")
    bounds = {"scope": "self", "expires_at": "2026-02-01T00:00:00Z", "networks": ["203.0.113.9"]}
    created = await door("keys.create", token, name="bot", **bounds)
    yield created
    for scope in ("all", "", 1):
        yield await door("keys.create", token, name="bot", scope=scope)
    for networks in ([], ["10.0.0.1/8"], "10.0.0.0/8", [10], [None]):
        yield await door("keys.create", token, name="bot", networks=networks)
    key = created.value["key"]
    yield await door("users.update", key, display_name="Bot")
    yield await door("keys.create", key, name="child")
    for scope in ("admin", "read"):
        yield await door("keys.create", key, name="more", scope=scope)
    yield await door("keys.create", key, name="more", networks=["203.0.113.0/24"])
    yield await door("keys.create", key, name="more", expires_at="2026-02-01T00:00:01Z")
    away = await door("keys.create", token, name="away", networks=["192.0.2.0/24", "::/0"])
    yield away
    yield await door("users.self", away.value["key"])
    yield await door("keys.list", token)
    reader = (await door("keys.create", admin, name="reader", scope="read")).value["key"]
    yield await door("admin.users.list", reader, limit=10)
    yield await door("users.presence", reader)
    yield await door("users.presence", reader, presence="DND")
    yield await door("users.password", reader, current="x", new=NEW_PASSWORD)
    yield await door("keys.create", reader, name="child", scope="read")
    own = (await door("keys.create", admin, name="own", scope="self")).value["key"]
    yield await door("users.update", own, display_name="Boss")
    yield await door("admin.users.list", own, limit=10)
    yield await door("admin.users.create", own, username="someone", email="a@example.com")


async def administering_accounts(door: Door, admin: str) -> AsyncIterator[Outcome]:
    yield await door("admin.users.create", admin, username="someone", email="new@example.com")
    yield await door(
        "admin.users.create",
        admin,
        username="somebody",
        email="two@example.com",
        password="rawPassword1",
        admin=1,
        display_name="Some Body",
    )
    yield await door("admin.users.create", admin, username="third", email="NEW@example.com")
    yield await door("admin.users.create", admin, username="third", email="nothing")
    yield await door("admin.users.create", admin, username="third")
    yield await door("admin.users.list", admin, limit=1)
    yield await door("admin.users.list", admin, q="some", sort="-username", limit=10)
    yield await door("admin.users.list", admin, limit=0)
    yield await door("admin.users.list", admin, sort="age", limit=1)
    yield await door("admin.users.list", admin, cursor="nonsense", limit=1)
    yield await door("admin.users.get", admin, uuid=await _uuid(door, admin, "someone"))
    yield await door("admin.users.get", admin, uuid=NOBODY_UUID)


async def changing_accounts(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    uuid = await _uuid(door, admin, "demo")
    yield await door("admin.users.update", admin, uuid=uuid, email="a@example.com", admin=1)
    yield await door("admin.users.get", admin, uuid=uuid.upper())
    yield await door("admin.users.update", admin, uuid=uuid, username="root")
    yield await door("admin.users.update", admin, uuid=uuid, if_match='"0-0"', admin=0)
    yield await door("admin.users.update", admin, uuid=uuid, email=None, admin=False)
    yield await door("admin.users.update", admin, uuid=uuid, password=NEW_PASSWORD)
    yield await door("users.self", token)
    yield await door("admin.users.update", admin, uuid=uuid, password="password")
    yield await door("admin.users.update", admin, uuid=uuid, number=7)
    yield await door("admin.users.update", admin, uuid=NOBODY_UUID, admin=1)
    yield await door("admin.users.get", admin, uuid=uuid)


async def disabling_and_enabling(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    uuid = await _uuid(door, admin, "demo")
    yield await door("admin.servers.put", admin, uuid=SERVER, owner=uuid, name="Survival")
    yield await door("admin.users.disable", admin, uuid=uuid)
    yield await door("admin.users.disable", admin, uuid=uuid)
    yield await door("users.self", token)
    yield await door("users.auth", username="demo", password=PASSWORD)
    yield await door("users.auth", username="demo", password="wrong horse battery")
    yield await door("users.check", username="demo")
    yield await door("admin.users.get", admin, uuid=uuid)
    yield await door("admin.servers.list", admin)
    yield await door("admin.users.update", admin, uuid=uuid, disabled=0)
    yield await door("admin.servers.list", admin)
    yield await door("admin.users.disable", admin, uuid=NOBODY_UUID)


async def losing_the_last_admin(door: Door, admin: str) -> AsyncIterator[Outcome]:
    uuid = await _uuid(door, admin, "admin")
    yield await door("admin.users.disable", admin, uuid=uuid)
    yield await door("admin.users.update", admin, uuid=uuid, admin=0)
    yield await door("admin.users.update", admin, uuid=uuid, disabled=1)
    await door("admin.users.create", admin, username="second", email="b@example.com", admin=1)
    yield await door("admin.users.update", admin, uuid=uuid, admin=0)
    yield await door("admin.users.list", admin, limit=1)


async def administering_credentials(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    await _token(door, "demo")
    uuid = await _uuid(door, admin, "demo")
    key = (await door("keys.create", token, name="bot")).value
    sessions = await door("admin.sessions.list", admin, uuid=uuid)
    yield sessions
    yield await door("admin.keys.list", admin, uuid=uuid)
    yield await door("admin.sessions.revoke", admin, uuid=uuid, id=sessions.value[1]["id"])
    yield await door("admin.sessions.revoke", admin, uuid=uuid, id=NOBODY_UUID)
    yield await door("admin.keys.revoke", admin, uuid=uuid, id=key["id"])
    yield await door("admin.keys.revoke", admin, uuid=uuid, id=key["id"])
    yield await door("admin.keys.revoke", admin, uuid=uuid)
    yield await door("admin.sessions.revoke", admin, uuid=uuid)
    yield await door("users.self", token)
    for operation in ("admin.sessions.list", "admin.keys.list", "admin.keys.revoke"):
        yield await door(operation, admin, uuid=NOBODY_UUID)


async def reading_the_trail(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    uuid = await _uuid(door, admin, "demo")
    await door("users.auth", username="demo", password="wrong horse battery")
    await door("admin.users.update", admin, uuid=uuid, username="other", password=NEW_PASSWORD)
    yield await door("admin.users.disable", token, uuid=uuid)
    yield await door("admin.audit.list", admin)
    yield await door("admin.audit.list", admin, target=uuid, limit=2)
    yield await door("admin.audit.list", admin, actor=uuid, action="users.auth", outcome="done")
    yield await door("admin.audit.list", admin, since="2026-01-01T13:00:00+01:00", limit=1)
    yield await door("admin.audit.list", admin, until="2026-01-01T12:00:00Z")
    yield await door("admin.audit.list", admin, since="yesterday")
    yield await door("admin.audit.list", admin, limit=1001)
    yield await door("admin.audit.list", admin, cursor="nonsense")
    yield await door("admin.audit.list", token)


async def looking_into_the_outbox(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    await _user(door, "other")
    uuid = await _uuid(door, admin, "demo")
    yield await door("admin.outbox.list", admin)
    for disabled in (1, 1, 0):
        await door("admin.users.update", admin, uuid=uuid, disabled=disabled)
    await door("admin.users.disable", admin, uuid=await _uuid(door, admin, "other"))
    yield await door("admin.outbox.list", admin)
    yield await door("admin.outbox.list", admin, user=uuid, state="waiting", limit=1)
    yield await door("admin.outbox.list", admin, state="dead")
    yield await door("admin.outbox.list", admin, state="lost")
    yield await door("admin.outbox.list", admin, user=NOBODY_UUID)
    yield await door("admin.outbox.list", admin, limit=0)
    yield await door("admin.outbox.list", admin, cursor="nonsense")
    yield await door("admin.outbox.list", token)
    yield await door("admin.outbox.list", await _token(door, "demo"))


async def keeping_servers(door: Door, admin: str) -> AsyncIterator[Outcome]:
    await _user(door, "demo")
    uuid = await _uuid(door, admin, "demo")
    server = {"uuid": SERVER, "owner": uuid, "name": "Survival"}
    yield await door("admin.servers.put", admin, **server, active=0)
    yield await door("admin.servers.put", admin, **{**server, "name": "Creative"})
    yield await door("admin.servers.put", admin, **{**server, "owner": NOBODY_UUID})
    yield await door("admin.servers.put", admin, **{**server, "uuid": "one"})
    yield await door("admin.servers.put", admin, uuid=SERVER, owner=uuid)
    yield await door("admin.servers.list", admin)
    yield await door("admin.users.get", admin, uuid=uuid)
    yield await door("admin.servers.delete", admin, uuid=SERVER)
    yield await door("admin.servers.delete", admin, uuid=SERVER)


async def keeping_guilds(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    user_id = (await door("users.self", token)).value["id"]
    admin_uuid = await _uuid(door, admin, "admin")
    guild = {"id": GUILD, "name": "Builders", "owner_id": admin_uuid}
    yield await door("admin.guilds.put", admin, **guild)
    yield await door("admin.guilds.put", admin, **guild, icon="https://example.com/icon.png")
    yield await door("admin.guilds.put", admin, **guild, icon="javascript:alert(1)")
    yield await door("admin.guilds.members.put", admin, id=GUILD, user=user_id)
    yield await door("admin.guilds.members.put", admin, id=GUILD, user=user_id)
    yield await door("admin.guilds.members.put", admin, id="5", user=user_id)
    yield await door("users.guilds", token)
    yield await door("admin.guilds.members.delete", admin, id=GUILD, user=user_id)
    yield await door("admin.guilds.members.delete", admin, id=GUILD, user=user_id)
    yield await door("users.guilds", token)
    yield await door("admin.guilds.list", admin)
    yield await door("admin.guilds.delete", admin, id=GUILD)
    yield await door("admin.guilds.delete", admin, id=GUILD)


async def asking_in_vain(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    await door("admin.users.create", admin, username="someone", email="taken@example.com")
    uuid = await _uuid(door, admin, "demo")
    yield await door("users.update", token, username="someone")
    yield await door("users.update", token, username="x")
    yield await door("users.update", token, display_name="\u0000")
    new = {"username": "another", "email": "new@example.com"}
    yield await door("admin.users.create", admin, **{**new, "username": "demo"})
    yield await door("admin.users.create", admin, **{**new, "username": "x"})
    yield await door("admin.users.create", admin, **new, password="password")
    yield await door("admin.users.create", admin, **new, display_name="")
    yield await door("admin.users.update", admin, uuid=uuid, username="someone")
    yield await door("admin.users.update", admin, uuid=uuid, username="x")
    yield await door("admin.users.update", admin, uuid=uuid, email="taken@example.com")
    yield await door("admin.users.update", admin, uuid=uuid, email="nothing")
    yield await door("admin.users.update", admin, uuid=uuid, display_name="")
    yield await door("admin.sessions.revoke", admin, uuid=NOBODY_UUID)
    yield await door("admin.servers.delete", admin, uuid="one")
    guild = {"id": GUILD, "name": "Builders", "owner_id": uuid}
    yield await door("admin.guilds.put", admin, **guild)
    yield await door("admin.guilds.put", admin, **{**guild, "owner_id": NOBODY_UUID})
    yield await door("admin.guilds.delete", admin, id="one")
    for operation in ("admin.guilds.members.put", "admin.guilds.members.delete"):
        yield await door(operation, admin, id="one", user=uuid)
        yield await door(operation, admin, id="1", user=uuid)
        yield await door(operation, admin, id=GUILD, user=NOBODY_UUID)


async def reaching_too_far(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    uuid = await _uuid(door, admin, "demo")
    for credential in (None, token, "nonsense", "AAAAAAAA-0000-0000-0000-00000000", ""):
        yield await door("admin.users.get", credential, uuid=uuid)
        yield await door("admin.users.list", credential, limit=1)
        yield await door("admin.users.disable", credential, uuid=uuid)
        yield await door("users.self", credential)


async def guessing_a_password(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    uuid = await _uuid(door, admin, "demo")
    for _ in range(FREE_FAILURES):
        yield await door("users.auth", username="demo", password="wrong horse battery")
    yield await door("users.auth", username="demo", password=PASSWORD)
    yield await door("users.password", token, current=PASSWORD, new=NEW_PASSWORD)
    yield await door("users.self", token)
    yield await door("admin.users.unlock", token, uuid=uuid)
    yield await door("admin.users.unlock", admin, uuid=NOBODY_UUID)
    yield await door("admin.users.unlock", admin, uuid=uuid)
    yield await door("users.auth", username="demo", password=PASSWORD)


async def asking_too_often(door: Door, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(door, "demo")
    for _ in range(CHECKS.calls):
        await door("users.check", username="demo")
    yield await door("users.check", username="demo")
    yield await door("users.update", token, username="other")
    yield await door("users.update", token, display_name="Other")
    for _ in range(REGISTRATIONS.calls):
        await door("users.create", username="demo", password="")
    yield await door("users.create", username="newcomer", password=PASSWORD)


SCENARIOS: tuple[Scenario, ...] = (
    signing_up,
    asking_for_a_name,
    logging_in_and_out,
    looking_after_ones_account,
    saying_that_one_is_there,
    changing_a_password,
    choosing_a_breached_password,
    keeping_sessions,
    keeping_keys,
    limiting_keys,
    administering_accounts,
    changing_accounts,
    disabling_and_enabling,
    losing_the_last_admin,
    administering_credentials,
    reading_the_trail,
    looking_into_the_outbox,
    keeping_servers,
    keeping_guilds,
    asking_in_vain,
    reaching_too_far,
    guessing_a_password,
    asking_too_often,
)
