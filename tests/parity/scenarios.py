"""Journeys of users, written once; each scenario is driven through both APIs.

A scenario yields the outcome of each call that is to be compared.
"""

from collections.abc import AsyncIterator, Callable

from app.domain.rate_limits import CHECKS, FAILURES_BEFORE_LOCK, REGISTRATIONS
from tests.fakes.ports import BREACHED
from tests.fakes.services import PASSWORD
from tests.parity.apis import Api, Outcome

Scenario = Callable[[Api, str], AsyncIterator[Outcome]]

NEW_PASSWORD = "another horse, another battery"
NOBODY_UUID = "ffffffff-ffff-4fff-8fff-ffffffffffff"
SERVER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
GUILD = "71395574100676610"


async def _user(api: Api, name: str) -> str:
    await api("users.create", username=name, password=PASSWORD)
    return await _token(api, name)


async def _token(api: Api, name: str, password: str = PASSWORD) -> str:
    login = await api("users.auth", username=name, password=password)
    return str(login.value["token"])


async def _uuid(api: Api, admin: str, name: str) -> str:
    listed = await api("admin.users.list", admin, username=name, status="all", limit=1)
    users = listed.value.get("users", listed.value)
    return str(next(iter(users)))


async def signing_up(api: Api, admin: str) -> AsyncIterator[Outcome]:
    yield await api("users.create", username="ＤｅＭｏ1", password=PASSWORD)
    yield await api("users.create", username="demo1", password=PASSWORD)
    yield await api("users.create", username="demol", password=PASSWORD)
    yield await api("users.create", username="no", password=PASSWORD)
    yield await api("users.create", username="admin", password=PASSWORD)
    yield await api("users.create", username="someone", password="password")
    yield await api("users.create", username="someone", password=PASSWORD, display_name="")
    yield await api("users.create", username="someone", password=PASSWORD, admin=True)
    yield await api("users.create", username="someone")
    yield await api("users.create", username=1, password=PASSWORD)


async def asking_for_a_name(api: Api, admin: str) -> AsyncIterator[Outcome]:
    await _user(api, "demo1")
    for name in ("demo1", "DEMO1", "demol", "demo2", "admin", "no", "a b c"):
        yield await api("users.check", username=name)


async def logging_in_and_out(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    yield await api("users.auth", username="DEMO", password=PASSWORD)
    yield await api("users.auth", username="demo", password="wrong horse battery")
    yield await api("users.auth", username="nobody", password=PASSWORD)
    yield await api("users.refresh", token)
    yield await api("users.logout", token)
    for operation in ("users.self", "users.refresh", "users.logout"):
        yield await api(operation, token)


async def looking_after_ones_account(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    yield await api("users.self", token)
    yield await api("users.self")
    yield await api("users.update", token, display_name="Demo the First")
    yield await api("users.update", token, username="other", display_name="Other")
    yield await api("users.update", token, username="root")
    yield await api("users.update", token, email="me@example.com")
    yield await api("users.create", username="demo", password=PASSWORD)
    yield await api("users.update", token, username="demo")
    yield await api("users.guilds", token)


async def looking_at_others(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    user_id = (await api("users.self", token)).value["id"]
    await _user(api, "other")
    uuid = await _uuid(api, admin, "other")
    await api("users.update", token, display_name="Demo the First")
    for user in (user_id, uuid.upper(), "ＤＥＭＯ", "admin"):
        yield await api("users.profile", token, user=user)
    for user in ("nobody", "71395574100679999", NOBODY_UUID, "no body", "@self", "1"):
        yield await api("users.profile", token, user=user)
    yield await api("users.profiles", token, users=["other", user_id, "nobody", uuid, "x"])
    yield await api("users.profiles", token, users=["nobody"])
    yield await api("users.profiles", token, users=[user_id] * 100)
    yield await api("users.profiles", token, users=[user_id] * 101)
    yield await api("users.profiles", token, users=[user_id], surplus="1")
    yield await api("users.profiles", token, users=[])
    yield await api("users.profiles", users=[user_id] * 101)
    await api("admin.users.disable", admin, uuid=uuid)
    yield await api("users.profile", token, user=uuid)


async def looking_at_ones_guild(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token, other = await _user(api, "demo"), await _user(api, "other")
    uuids = [await _uuid(api, admin, name) for name in ("demo", "other")]
    await api("admin.guilds.put", admin, id=GUILD, name="Builders", owner_id=uuids[0])
    yield await api("guilds.members", token, id=GUILD)
    yield await api("guilds.members", other, id=GUILD)
    yield await api("guilds.members", admin, id=GUILD)
    await api("admin.guilds.members.put", admin, id=GUILD, user=uuids[1])
    yield await api("guilds.members", other, id=GUILD, limit=1)
    yield await api("guilds.members", other, id=GUILD, limit=0)
    yield await api("guilds.members", other, id=GUILD, cursor="nonsense")
    yield await api("guilds.members", other, id="one")
    yield await api("guilds.members", other, id="5")
    yield await api("guilds.members", admin, id="5")
    yield await api("guilds.members", id=GUILD)
    await api("admin.users.disable", admin, uuid=uuids[0])
    yield await api("guilds.members", other, id=GUILD)


async def saying_that_one_is_there(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    yield await api("users.presence", token)
    yield await api("users.presence", token, presence="ONLINE")
    yield await api("users.presence", token, presence="AWAY")
    yield await api("users.presence", token, presence=1)
    yield await api("users.self", token)


async def changing_a_password(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token, other = await _user(api, "demo"), await _token(api, "demo")
    key = (await api("keys.create", token, name="bot")).value["key"]
    yield await api("users.password", token, current="wrong", password=NEW_PASSWORD)
    yield await api("users.self", other)
    yield await api("users.password", token, current=PASSWORD, password="demo")
    yield await api("users.password", token, current=PASSWORD, password=NEW_PASSWORD)
    yield await api("users.self", other)
    yield await api("users.self", key)
    yield await api(
        "users.password", token, current=NEW_PASSWORD, password=PASSWORD, revoke_keys=True
    )
    yield await api("users.self", key)
    yield await api("users.self", token)


async def choosing_a_breached_password(api: Api, admin: str) -> AsyncIterator[Outcome]:
    yield await api("users.create", username="someone", password=BREACHED)
    token = await _user(api, "demo")
    yield await api("users.password", token, current=PASSWORD, password=BREACHED)
    new = {"username": "somebody", "email": "new@example.com"}
    yield await api("admin.users.create", admin, **new, password=BREACHED)
    uuid = await _uuid(api, admin, "demo")
    yield await api("admin.users.update", admin, uuid=uuid, password=BREACHED)
    yield await api("users.auth", username="demo", password=BREACHED)
    yield await api("users.auth", username="demo", password=PASSWORD)


async def keeping_sessions(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    for _ in range(3):
        await _token(api, "demo")
    listed = await api("sessions.list", token)
    yield listed
    others = [session["id"] for session in listed.value if not session["current"]]
    yield await api("sessions.revoke", token, id=others[0])
    yield await api("sessions.revoke", token, id=others[0])
    yield await api("sessions.revoke", token, id=NOBODY_UUID)
    yield await api("sessions.revoke", token)
    yield await api("sessions.list", token)


async def keeping_keys(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    created = await api("keys.create", token, name="bot", expires_at="2100-01-01T00:00:00Z")
    yield created
    yield await api("keys.create", token, name="")
    yield await api("keys.create", token, name="bot", expires_at="yesterday")
    yield await api("keys.list", token)
    for operation in ("users.self", "users.refresh", "users.logout"):
        yield await api(operation, created.value["key"])
    yield await api("keys.revoke", token, id=created.value["id"])
    yield await api("keys.revoke", token, id=created.value["id"])
    yield await api("users.self", created.value["key"])


async def limiting_keys(api: Api, admin: str) -> AsyncIterator[Outcome]:
    """The client is at 203.0.113.9."""
    token = await _user(api, "demo")
    bounds = {"scope": "self", "expires_at": "2026-02-01T00:00:00Z", "networks": ["203.0.113.9"]}
    created = await api("keys.create", token, name="bot", **bounds)
    yield created
    for scope in ("all", "", 1):
        yield await api("keys.create", token, name="bot", scope=scope)
    for networks in ([], ["10.0.0.1/8"], "10.0.0.0/8", [10], [None]):
        yield await api("keys.create", token, name="bot", networks=networks)
    key = created.value["key"]
    yield await api("users.update", key, display_name="Bot")
    yield await api("keys.create", key, name="child")
    for scope in ("admin", "read"):
        yield await api("keys.create", key, name="more", scope=scope)
    yield await api("keys.create", key, name="more", networks=["203.0.113.0/24"])
    yield await api("keys.create", key, name="more", expires_at="2026-02-01T00:00:01Z")
    away = await api("keys.create", token, name="away", networks=["192.0.2.0/24", "::/0"])
    yield away
    yield await api("users.self", away.value["key"])
    yield await api("keys.list", token)
    reader = (await api("keys.create", admin, name="reader", scope="read")).value["key"]
    yield await api("admin.users.list", reader, limit=10)
    yield await api("users.presence", reader)
    yield await api("users.presence", reader, presence="DND")
    yield await api("users.password", reader, current="x", password=NEW_PASSWORD)
    yield await api("keys.create", reader, name="child", scope="read")
    own = (await api("keys.create", admin, name="own", scope="self")).value["key"]
    yield await api("users.update", own, display_name="Boss")
    yield await api("admin.users.list", own, limit=10)
    yield await api("admin.users.create", own, username="someone", email="a@example.com")


async def administering_accounts(api: Api, admin: str) -> AsyncIterator[Outcome]:
    yield await api("admin.users.create", admin, username="someone", email="new@example.com")
    yield await api(
        "admin.users.create",
        admin,
        username="somebody",
        email="two@example.com",
        password="rawPassword1",
        admin=1,
        display_name="Some Body",
    )
    yield await api("admin.users.create", admin, username="third", email="NEW@example.com")
    yield await api("admin.users.create", admin, username="third", email="nothing")
    yield await api("admin.users.create", admin, username="third")
    yield await api("admin.users.create", admin, username="mailless", email=None)
    yield await api("admin.users.list", admin, limit=1)
    yield await api("admin.users.list", admin, q="some", sort="-username", limit=10)
    yield await api("admin.users.list", admin, limit=0)
    yield await api("admin.users.list", admin, sort="age", limit=1)
    yield await api("admin.users.list", admin, cursor="nonsense", limit=1)
    yield await api("admin.users.get", admin, uuid=await _uuid(api, admin, "someone"))
    yield await api("admin.users.get", admin, uuid=NOBODY_UUID)


async def changing_accounts(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    uuid = await _uuid(api, admin, "demo")
    yield await api("admin.users.update", admin, uuid=uuid, email="a@example.com", admin=1)
    yield await api("admin.users.get", admin, uuid=uuid.upper())
    yield await api("admin.users.update", admin, uuid=uuid, username="root")
    yield await api("admin.users.update", admin, uuid=uuid, if_match='"0-0"', admin=0)
    yield await api("admin.users.update", admin, uuid=uuid, email=None, admin=False)
    yield await api("admin.users.update", admin, uuid=uuid, password=NEW_PASSWORD)
    yield await api("users.self", token)
    yield await api("admin.users.update", admin, uuid=uuid, password="password")
    yield await api("admin.users.update", admin, uuid=uuid, number=7)
    yield await api("admin.users.update", admin, uuid=NOBODY_UUID, admin=1)
    yield await api("admin.users.get", admin, uuid=uuid)


async def sending_back_what_one_got(api: Api, admin: str) -> AsyncIterator[Outcome]:
    await _user(api, "demo")
    uuid = await _uuid(api, admin, "demo")
    await api("admin.servers.put", admin, uuid=SERVER, owner=uuid, name="Survival")
    for disabled in (0, 1):
        await api("admin.users.update", admin, uuid=uuid, disabled=disabled)
        got = await api("admin.users.get", admin, uuid=uuid)
        yield got
        yield await api("admin.users.update", admin, uuid=uuid, **got.value)
        changed = {**got.value, "email": f"{disabled}@example.com"}
        yield await api("admin.users.update", admin, uuid=uuid, **changed)
        yield await api("admin.users.update", admin, uuid=uuid, **{**changed, "id": 1})
        for servers in ([], [SERVER, SERVER], [NOBODY_UUID], SERVER, None, [1]):
            yield await api("admin.users.update", admin, uuid=uuid, servers=servers)
        yield await api("admin.users.get", admin, uuid=uuid)
    yield await api("admin.users.update", admin, uuid=uuid, id="2")
    yield await api("admin.users.update", admin, uuid=NOBODY_UUID, id=2, servers=[])
    yield await api("admin.audit.list", admin)


async def disabling_and_enabling(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    uuid = await _uuid(api, admin, "demo")
    yield await api("admin.servers.put", admin, uuid=SERVER, owner=uuid, name="Survival")
    yield await api("admin.users.disable", admin, uuid=uuid)
    yield await api("admin.users.disable", admin, uuid=uuid)
    yield await api("users.self", token)
    yield await api("users.auth", username="demo", password=PASSWORD)
    yield await api("users.auth", username="demo", password="wrong horse battery")
    yield await api("users.check", username="demo")
    yield await api("admin.users.get", admin, uuid=uuid)
    yield await api("admin.servers.list", admin)
    yield await api("admin.users.update", admin, uuid=uuid, disabled=0)
    yield await api("admin.servers.list", admin)
    yield await api("admin.users.disable", admin, uuid=NOBODY_UUID)


async def losing_the_last_admin(api: Api, admin: str) -> AsyncIterator[Outcome]:
    uuid = await _uuid(api, admin, "admin")
    yield await api("admin.users.disable", admin, uuid=uuid)
    yield await api("admin.users.update", admin, uuid=uuid, admin=0)
    yield await api("admin.users.update", admin, uuid=uuid, disabled=1)
    await api("admin.users.create", admin, username="second", email="b@example.com", admin=1)
    yield await api("admin.users.update", admin, uuid=uuid, admin=0)
    yield await api("admin.users.list", admin, limit=1)


async def administering_credentials(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    await _token(api, "demo")
    uuid = await _uuid(api, admin, "demo")
    key = (await api("keys.create", token, name="bot")).value
    sessions = await api("admin.sessions.list", admin, uuid=uuid)
    yield sessions
    yield await api("admin.keys.list", admin, uuid=uuid)
    yield await api("admin.sessions.revoke", admin, uuid=uuid, id=sessions.value[1]["id"])
    yield await api("admin.sessions.revoke", admin, uuid=uuid, id=NOBODY_UUID)
    yield await api("admin.keys.revoke", admin, uuid=uuid, id=key["id"])
    yield await api("admin.keys.revoke", admin, uuid=uuid, id=key["id"])
    yield await api("admin.keys.revoke", admin, uuid=uuid)
    yield await api("admin.sessions.revoke", admin, uuid=uuid)
    yield await api("users.self", token)
    for operation in ("admin.sessions.list", "admin.keys.list", "admin.keys.revoke"):
        yield await api(operation, admin, uuid=NOBODY_UUID)


async def reading_the_trail(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    uuid = await _uuid(api, admin, "demo")
    await api("users.auth", username="demo", password="wrong horse battery")
    await api("admin.users.update", admin, uuid=uuid, username="other", password=NEW_PASSWORD)
    yield await api("admin.users.disable", token, uuid=uuid)
    yield await api("admin.audit.list", admin)
    yield await api("admin.audit.list", admin, target=uuid, limit=2)
    yield await api("admin.audit.list", admin, actor=uuid, action="users.auth", outcome="done")
    yield await api("admin.audit.list", admin, since="2026-01-01T13:00:00+01:00", limit=1)
    yield await api("admin.audit.list", admin, until="2026-01-01T12:00:00Z")
    yield await api("admin.audit.list", admin, since="yesterday")
    yield await api("admin.audit.list", admin, action="admin.users.disabel")
    yield await api("admin.audit.list", admin, outcome="nonsense")
    yield await api("admin.audit.list", admin, actor=NOBODY_UUID)
    yield await api("admin.audit.list", admin, limit=1001)
    yield await api("admin.audit.list", admin, cursor="nonsense")
    yield await api("admin.audit.list", admin, after=0)
    yield await api("admin.audit.list", admin, after=2, limit=1, outcome="done")
    yield await api("admin.audit.list", admin, after=-1)
    yield await api("admin.audit.list", token, after=0)
    yield await api("admin.audit.list", token)


async def looking_into_the_outbox(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    await _user(api, "other")
    uuid = await _uuid(api, admin, "demo")
    yield await api("admin.outbox.list", admin)
    for disabled in (1, 1, 0):
        await api("admin.users.update", admin, uuid=uuid, disabled=disabled)
    await api("admin.users.disable", admin, uuid=await _uuid(api, admin, "other"))
    yield await api("admin.outbox.list", admin)
    yield await api("admin.outbox.list", admin, user=uuid, state="waiting", limit=1)
    yield await api("admin.outbox.list", admin, state="dead")
    yield await api("admin.outbox.list", admin, state="lost")
    yield await api("admin.outbox.list", admin, user=NOBODY_UUID)
    yield await api("admin.outbox.list", admin, limit=0)
    yield await api("admin.outbox.list", admin, cursor="nonsense")
    yield await api("admin.outbox.list", token)
    yield await api("admin.outbox.list", await _token(api, "demo"))


async def keeping_servers(api: Api, admin: str) -> AsyncIterator[Outcome]:
    await _user(api, "demo")
    uuid = await _uuid(api, admin, "demo")
    server = {"uuid": SERVER, "owner": uuid, "name": "Survival"}
    yield await api("admin.servers.put", admin, **server, active=0)
    yield await api("admin.servers.put", admin, **{**server, "name": "Creative"})
    yield await api("admin.servers.put", admin, **{**server, "owner": NOBODY_UUID})
    yield await api("admin.servers.put", admin, **{**server, "uuid": "one"})
    yield await api("admin.servers.put", admin, uuid=SERVER, owner=uuid)
    yield await api("admin.servers.list", admin)
    yield await api("admin.users.get", admin, uuid=uuid)
    yield await api("admin.servers.delete", admin, uuid=SERVER)
    yield await api("admin.servers.delete", admin, uuid=SERVER)


async def keeping_guilds(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    user_id = (await api("users.self", token)).value["id"]
    admin_uuid = await _uuid(api, admin, "admin")
    guild = {"id": GUILD, "name": "Builders", "owner_id": admin_uuid}
    yield await api("admin.guilds.put", admin, **guild)
    yield await api("admin.guilds.put", admin, **guild, icon="https://example.com/icon.png")
    yield await api("admin.guilds.put", admin, **guild, icon="javascript:alert(1)")
    yield await api("admin.guilds.members.put", admin, id=GUILD, user=user_id)
    yield await api("admin.guilds.members.put", admin, id=GUILD, user=user_id)
    yield await api("admin.guilds.members.put", admin, id="5", user=user_id)
    yield await api("users.guilds", token)
    yield await api("admin.guilds.members.delete", admin, id=GUILD, user=user_id)
    yield await api("admin.guilds.members.delete", admin, id=GUILD, user=user_id)
    yield await api("users.guilds", token)
    yield await api("admin.guilds.list", admin)
    yield await api("admin.guilds.delete", admin, id=GUILD)
    yield await api("admin.guilds.delete", admin, id=GUILD)


async def asking_in_vain(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    await api("admin.users.create", admin, username="someone", email="taken@example.com")
    uuid = await _uuid(api, admin, "demo")
    yield await api("users.update", token, username="someone")
    yield await api("users.update", token, username="x")
    yield await api("users.update", token, display_name="\u0000")
    new = {"username": "another", "email": "new@example.com"}
    yield await api("admin.users.create", admin, **{**new, "username": "demo"})
    yield await api("admin.users.create", admin, **{**new, "username": "x"})
    yield await api("admin.users.create", admin, **new, password="password")
    yield await api("admin.users.create", admin, **new, display_name="")
    yield await api("admin.users.update", admin, uuid=uuid, username="someone")
    yield await api("admin.users.update", admin, uuid=uuid, username="x")
    yield await api("admin.users.update", admin, uuid=uuid, email="taken@example.com")
    yield await api("admin.users.update", admin, uuid=uuid, email="nothing")
    yield await api("admin.users.update", admin, uuid=uuid, display_name="")
    yield await api("admin.sessions.revoke", admin, uuid=NOBODY_UUID)
    yield await api("admin.servers.delete", admin, uuid="one")
    guild = {"id": GUILD, "name": "Builders", "owner_id": uuid}
    yield await api("admin.guilds.put", admin, **guild)
    yield await api("admin.guilds.put", admin, **{**guild, "owner_id": NOBODY_UUID})
    yield await api("admin.guilds.delete", admin, id="one")
    for operation in ("admin.guilds.members.put", "admin.guilds.members.delete"):
        yield await api(operation, admin, id="one", user=uuid)
        yield await api(operation, admin, id="1", user=uuid)
        yield await api(operation, admin, id=GUILD, user=NOBODY_UUID)


async def reaching_too_far(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    uuid = await _uuid(api, admin, "demo")
    for credential in (None, token, "nonsense", "AAAAAAAA-0000-0000-0000-00000000", ""):
        yield await api("admin.users.get", credential, uuid=uuid)
        yield await api("admin.users.list", credential, limit=1)
        yield await api("admin.users.disable", credential, uuid=uuid)
        yield await api("users.self", credential)


async def guessing_a_password(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    uuid = await _uuid(api, admin, "demo")
    for _ in range(FAILURES_BEFORE_LOCK):
        yield await api("users.auth", username="demo", password="wrong horse battery")
    yield await api("users.auth", username="demo", password=PASSWORD)
    yield await api("users.password", token, current=PASSWORD, password=NEW_PASSWORD)
    yield await api("users.self", token)
    yield await api("admin.users.unlock", token, uuid=uuid)
    yield await api("admin.users.unlock", admin, uuid=NOBODY_UUID)
    yield await api("admin.users.unlock", admin, uuid=uuid)
    yield await api("users.auth", username="demo", password=PASSWORD)


async def asking_too_often(api: Api, admin: str) -> AsyncIterator[Outcome]:
    token = await _user(api, "demo")
    for _ in range(CHECKS.calls):
        await api("users.check", username="demo")
    yield await api("users.check", username="demo")
    yield await api("users.update", token, username="other")
    yield await api("users.update", token, display_name="Other")
    user_id = (await api("users.self", token)).value["id"]
    for user in (user_id, "demo"):
        yield await api("users.profile", token, user=user)
        yield await api("users.profiles", token, users=[user])
    yield await api("users.profile", user="demo")
    for _ in range(REGISTRATIONS.calls):
        await api("users.create", username="demo", password="")
    yield await api("users.create", username="newcomer", password=PASSWORD)


SCENARIOS: tuple[Scenario, ...] = (
    signing_up,
    asking_for_a_name,
    logging_in_and_out,
    looking_after_ones_account,
    looking_at_others,
    looking_at_ones_guild,
    saying_that_one_is_there,
    changing_a_password,
    choosing_a_breached_password,
    keeping_sessions,
    keeping_keys,
    limiting_keys,
    administering_accounts,
    changing_accounts,
    sending_back_what_one_got,
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
