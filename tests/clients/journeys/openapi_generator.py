"""Use the client that openapi-generator's `python` generates from our OpenAPI document.

openapi-generator-cli generate -g python -i http://127.0.0.1:8000/openapi.json \
    --additional-properties packageName=gatehouse_api
python openapi_generator.py http://127.0.0.1:8000 ACCESS-KEY USERNAME
"""

import sys

from gatehouse_api import (
    AdminCreateUser,
    AdminUpdateUser,
    AnyoneApi,
    ApiClient,
    Authenticate,
    ChatUserApi,
    Configuration,
    CreateUser,
    PanelAdminApi,
    Presence,
    Problem,
    SetPresence,
    Status,
)
from gatehouse_api.exceptions import ApiException

PASSWORD = "correct horse battery"


def problem_of(error: ApiException) -> Problem:
    problem = Problem.from_json(error.body)
    assert problem is not None
    return problem


def sign_up(api: AnyoneApi, name: str) -> str:
    account = CreateUser(username=name, password=PASSWORD)
    print(f"registered {api.users_create(account).username}")
    try:
        api.users_create(account)
    except ApiException as error:
        print(f"a second time: {problem_of(error).code.value}")
    print(f"exists: {api.users_check_with_http_info(name).status_code}")
    return api.users_auth(Authenticate(username=name, password=PASSWORD)).token


def chat(api: ChatUserApi) -> None:
    assert api.users_self().presence is None
    presence = api.users_presence_set(SetPresence(presence=Presence.ONLINE))
    print(f"{presence.value} in {len(api.users_guilds())} guilds")


def administer(api: PanelAdminApi, name: str) -> None:
    users = api.admin_users_list()
    assert "admin" in {user.username for user in users.values() if user.admin == 1}

    first = AdminCreateUser(username=f"{name}-1", email=f"{name}-1@example.com", admin=0)
    made = api.admin_users_create_with_http_info(first)
    assert made.headers["location"].startswith("/users/")
    print(f"created {first.username}: {made.status_code}")

    second = AdminCreateUser(username=f"{name}-2", email=f"{name}-2@example.com")
    shown = api.admin_users_create_with_http_info(second, prefer="return=representation")
    created = shown.data
    assert created.password
    print(f"created {created.username}: {shown.status_code}")

    uuid = str(created.uuid)
    found = api.admin_users_get_with_http_info(uuid)
    assert found.data.servers == []
    etag = found.headers["etag"]
    change = AdminUpdateUser(email=f"{name}-3@example.com")
    changed = api.admin_users_update_with_http_info(uuid, change, if_match=etag)
    print(f"changed: {changed.status_code}")
    try:
        api.admin_users_update(uuid, change, if_match=etag)
    except ApiException as error:
        print(f"on the old version: {problem_of(error).code.value}")

    api.admin_users_disable(uuid)
    user = api.admin_users_list(status=Status.DISABLED)[uuid]
    assert (user.disabled, user.email) == (1, f"{name}-3@example.com")
    print(f"disabled {user.username}")


def main(url: str, key: str, name: str) -> None:
    with ApiClient(Configuration(host=url)) as anyone:
        token = sign_up(AnyoneApi(anyone), name)
    with ApiClient(Configuration(host=url, access_token=token)) as me:
        chat(ChatUserApi(me))
    with ApiClient(Configuration(host=url, api_key={"accessToken": key})) as panel:
        administer(PanelAdminApi(panel), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
