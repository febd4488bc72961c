"""Use the client that openapi-python-client generates from our OpenAPI document.

openapi-python-client generate --meta none --url http://127.0.0.1:8000/openapi.json
python openapi_python_client.py http://127.0.0.1:8000 ACCESS-KEY USERNAME
"""

import sys
from base64 import b64encode
from http import HTTPStatus

from gatehouse_client import AuthenticatedClient, Client
from gatehouse_client.api.anyone import users_auth, users_check, users_create
from gatehouse_client.api.chat_user import users_guilds, users_presence_set, users_self
from gatehouse_client.api.panel_admin import (
    admin_users_create,
    admin_users_disable,
    admin_users_get,
    admin_users_list,
    admin_users_update,
)
from gatehouse_client.models import (
    AdminCreateUser,
    AdminUpdateUser,
    ChatUser,
    CreatedUser,
    CreateUser,
    IssuedToken,
    PanelUserDetail,
    PanelUsers,
    Presence,
    Problem,
    ProblemCode,
    SetPresence,
    Status,
)

PASSWORD = "correct horse battery"


def sign_up(url: str, name: str) -> str:
    anyone = Client(url)
    user = users_create.sync(client=anyone, body=CreateUser(name, PASSWORD))
    assert isinstance(user, ChatUser)
    print(f"registered {user.username}")

    again = users_create.sync(client=anyone, body=CreateUser(name, PASSWORD))
    assert isinstance(again, Problem)
    assert again.code is ProblemCode.USERNAME_TAKEN
    print(f"a second time: {again.code}")

    print(f"exists: {users_check.sync_detailed(name, client=anyone).status_code}")

    basic = b64encode(f"{name}:{PASSWORD}".encode()).decode()
    with AuthenticatedClient(url, basic, prefix="Basic") as api:
        login = users_auth.sync(client=api)
    assert isinstance(login, IssuedToken)
    return login.token


def chat(me: AuthenticatedClient) -> None:
    user = users_self.sync(client=me)
    assert isinstance(user, ChatUser)
    assert user.presence is None
    presence = users_presence_set.sync(client=me, body=SetPresence(Presence.ONLINE))
    guilds = users_guilds.sync(client=me)
    assert isinstance(guilds, list)
    print(f"{presence} in {len(guilds)} guilds")


def administer(panel: AuthenticatedClient, name: str) -> None:
    users = admin_users_list.sync(client=panel)
    assert isinstance(users, PanelUsers)
    assert "admin" in {it.username for it in users.additional_properties.values() if it.admin == 1}

    first = AdminCreateUser(f"{name}-1", f"{name}-1@example.com", admin=0)
    made = admin_users_create.sync_detailed(client=panel, body=first)
    assert made.headers["location"].startswith("/users/")
    print(f"created {first.username}: {int(made.status_code)}")

    second = AdminCreateUser(f"{name}-2", f"{name}-2@example.com")
    asked = "return=representation"
    shown = admin_users_create.sync_detailed(client=panel, body=second, prefer=asked)
    created = shown.parsed
    assert isinstance(created, CreatedUser)
    assert created.password
    print(f"created {created.username}: {int(shown.status_code)}")

    found = admin_users_get.sync_detailed(str(created.uuid), client=panel)
    assert isinstance(found.parsed, PanelUserDetail)
    assert found.parsed.servers == []
    etag = found.headers["etag"]
    change = AdminUpdateUser(email=f"{name}-3@example.com")
    changed = admin_users_update.sync_detailed(
        created.uuid, client=panel, body=change, if_match=etag
    )
    print(f"changed: {int(changed.status_code)}")
    late = admin_users_update.sync(created.uuid, client=panel, body=change, if_match=etag)
    assert isinstance(late, Problem)
    print(f"on the old version: {late.code}")

    gone = admin_users_disable.sync_detailed(created.uuid, client=panel)
    assert gone.status_code is HTTPStatus.NO_CONTENT
    disabled = admin_users_list.sync(client=panel, status=Status.DISABLED)
    assert isinstance(disabled, PanelUsers)
    user = disabled[str(created.uuid)]
    assert (user.disabled, user.email) == (1, f"{name}-3@example.com")
    print(f"disabled {user.username}")


def main(url: str, key: str, name: str) -> None:
    with AuthenticatedClient(url, sign_up(url, name)) as me:
        chat(me)
    with AuthenticatedClient(url, key, prefix="", auth_header_name="X-Access-Token") as panel:
        administer(panel, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
