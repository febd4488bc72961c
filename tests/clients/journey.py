"""Use the client that openapi-python-client generates from our OpenAPI document.

    openapi-python-client generate --meta none --url http://127.0.0.1:8000/openapi.json
    python journey.py http://127.0.0.1:8000 ACCESS-KEY

`make clients` does so with a server of its own, and checks the types of the client and of this.
"""

import sys
from base64 import b64encode

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
    Status,
)

NAME, PASSWORD = "pythonist", "correct horse battery"


def sign_up(anyone: Client) -> None:
    user = users_create.sync(client=anyone, body=CreateUser(username=NAME, password=PASSWORD))
    assert isinstance(user, ChatUser)
    print(f"registered {user.username}, {user.id}")

    again = users_create.sync(client=anyone, body=CreateUser(username=NAME, password=PASSWORD))
    assert isinstance(again, Problem)
    assert again.code is ProblemCode.USERNAME_TAKEN
    print(f"a second time: {again.code}: {again.detail}")

    assert users_check.sync_detailed(NAME, client=anyone).status_code == 204


def log_in(url: str) -> str:
    """A token, by HTTP Basic; a body with name and password does as well."""
    basic = b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
    with AuthenticatedClient(url, basic, prefix="Basic") as api:
        login = users_auth.sync(client=api)
    assert isinstance(login, IssuedToken)
    print(f"logged in {login.user_id}")
    return login.token


def be_there(me: AuthenticatedClient) -> None:
    user = users_self.sync(client=me)
    assert isinstance(user, ChatUser)
    assert (user.username, user.presence) == (NAME, None)

    assert users_presence_set.sync(client=me, body=Presence.ONLINE) is Presence.ONLINE
    guilds = users_guilds.sync(client=me)
    assert isinstance(guilds, list)
    print(f"online, in {len(guilds)} guilds")


def administer(panel: AuthenticatedClient) -> None:
    users = admin_users_list.sync(client=panel)
    assert isinstance(users, PanelUsers)
    by_name = {user.username: uuid for uuid, user in users.additional_properties.items()}
    assert users[by_name["admin"]].admin == 1
    print(f"listed {', '.join(by_name)}")

    new = AdminCreateUser(username="snakes", email="snakes@example.com", admin=0)
    created = admin_users_create.sync(client=panel, body=new, prefer="return=representation")
    assert isinstance(created, CreatedUser)
    print(f"created {created.username}, {created.uuid}, with a password of its own")

    found = admin_users_get.sync_detailed(str(created.uuid), client=panel)
    assert isinstance(found.parsed, PanelUserDetail)
    assert found.parsed.servers == []
    etag = found.headers["etag"]

    change = AdminUpdateUser(email="vipers@example.com")
    changed = admin_users_update.sync_detailed(
        created.uuid, client=panel, body=change, if_match=etag
    )
    assert changed.status_code == 204
    late = admin_users_update.sync(created.uuid, client=panel, body=change, if_match=etag)
    assert isinstance(late, Problem)
    assert late.code is ProblemCode.PRECONDITION_FAILED
    print(f"changed, and on the old version once more: {late.status}, {late.detail}")

    assert admin_users_disable.sync_detailed(created.uuid, client=panel).status_code == 204
    disabled = admin_users_list.sync(client=panel, status=Status.DISABLED)
    assert isinstance(disabled, PanelUsers)
    snakes = disabled[str(created.uuid)]
    assert snakes.disabled == 1
    print(f"disabled {snakes.username}")


def main(url: str, key: str) -> None:
    with Client(url) as anyone:
        sign_up(anyone)
    with AuthenticatedClient(url, log_in(url)) as me:
        be_there(me)
    with AuthenticatedClient(url, key, prefix="", auth_header_name="X-Access-Token") as panel:
        administer(panel)


if __name__ == "__main__":
    main(*sys.argv[1:])
