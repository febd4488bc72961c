"""The panel admins' routes: accounts."""

from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from app.domain.errors import UserNotFound
from app.domain.users import parse_uuid
from app.rest.answers import STALE, does, ends, page_links, shows, the_view
from app.rest.door import Answer, Ask, Door
from app.rest.idempotency import replayed
from app.usecases.accounts import CheckUsername
from app.usecases.examples import RESULT_EXAMPLES
from app.usecases.registry import OPERATIONS
from app.usecases.views import Created, CreatedUser, PanelUsers, UserPage, WrittenPage
from app.wire.http import CACHE_STATUS, JSON, JsonResponse

door = Door()

_LINK = "RFC 8288: `first`, and `next` where a page follows; only with `limit` or `cursor`."
_ETAG = "The strong entity tag of this version of the account and its servers."


@door.route(
    "GET",
    "/users",
    "admin.users.list",
    {
        200: Answer(
            "The accounts by uuid: all of them, or one page where `limit` or `cursor` is given.",
            PanelUsers,
            RESULT_EXAMPLES["admin.users.list"]["users"],
            headers={"Link": _LINK},
        )
    },
    no_default=["limit"],
)
async def list_users(ask: Ask) -> Response:
    if "limit" not in ask.query and "cursor" not in ask.query:
        return await _stream(ask.pieces(ask.read_query()))

    def linked(page: WrittenPage[UserPage]) -> bytes:
        return b"%b\n%b" % (page_links(ask, page.next).encode(), page.listed)

    links, _, listed = (await ask.say(linked)).partition(b"\n")
    return Response(listed, headers={"Link": links.decode()}, media_type=JSON)


async def _stream(pieces: AsyncIterator[bytes]) -> Response:
    """One JSON object from many; the first piece is asked for at once, so that refusals show."""
    first = await anext(pieces)

    async def chunks() -> AsyncIterator[bytes]:
        opening = b"{"
        for_first = first[1:-1]
        yield opening + for_first
        comma = b"," if for_first else b""
        async for piece in pieces:
            if inner := piece[1:-1]:
                yield comma + inner
                comma = b","
        yield b"}"

    return StreamingResponse(chunks(), media_type=JSON)


@door.route(
    "POST",
    "/users",
    "admin.users.create",
    {
        204: Answer("Created.", headers={"Location": "Where the account is."}),
        201: Answer(
            "Created, and shown as `Prefer: return=representation` asked.",
            the_view("admin.users.create").body,
            RESULT_EXAMPLES["admin.users.create"],
            headers={"Location": "Where the account is."},
        ),
    },
    heeds={"Prefer": "`return=representation` (RFC 7240) asks for 201 and the account."},
    once=True,
)
async def create_user(ask: Ask) -> Response:
    created: Created[CreatedUser] = await ask.do()
    view = created.view
    headers = {"Location": f"{ask.prefix}/users/{view['uuid']}", **replayed(created)}
    if not _prefers_representation(ask):
        return Response(status_code=204, headers=headers)
    return JsonResponse(view, 201, {**headers, "Preference-Applied": "return=representation"})


def _prefers_representation(ask: Ask) -> bool:
    """RFC 7240 section 4.2; the first `return` counts."""
    preferences = ",".join(ask.headers.getlist("prefer")).lower().split(",")
    tokens = (preference.partition(";")[0].replace(" ", "") for preference in preferences)
    returns = [token for token in tokens if token.startswith("return=")]
    return bool(returns) and returns[0].replace('"', "") == "return=representation"


_EXISTS = Answer("For a username: somebody has it, or it is held back.")


@door.route("HEAD", "/users/{uuid}", "users.check", {204: _EXISTS})
@door.route(
    "GET",
    "/users/{uuid}",
    "admin.users.get",
    {
        200: Answer(
            "For a uuid, to admins: the account.",
            the_view("admin.users.get").body,
            RESULT_EXAMPLES["admin.users.get"],
            headers={"ETag": _ETAG, CACHE_STATUS: STALE},
        ),
        204: _EXISTS,
        304: Answer("For a uuid: `If-None-Match` names the version that is there."),
    },
    also="users.check",
    heeds={"If-None-Match": "Only if the account has another entity tag by now."},
)
async def get_user(ask: Ask) -> Response:
    if parse_uuid(ask.path["uuid"]) is None:
        return await _check_username(ask)
    get = OPERATIONS["admin.users.get"]
    ask.refuse_query()
    found = await ask.perform(get.input(ask.path["uuid"]), get)
    headers = {"ETag": found.etag, "Cache-Control": "private, no-cache"}
    if _has_already(ask, found.etag):
        return Response(status_code=304, headers=headers)
    return JsonResponse(found.view, headers=headers)


async def _check_username(ask: Ask) -> Response:
    ask.refuse_query()
    check = OPERATIONS["users.check"]
    if not await ask.perform(CheckUsername(ask.path["uuid"]), check):
        raise UserNotFound
    return Response(status_code=204)


def _has_already(ask: Ask, etag: str) -> bool:
    """If-None-Match (RFC 9110 section 13.1.2), compared weakly."""
    tags = ",".join(ask.headers.getlist("if-none-match")).split(",")
    return any(tag.strip().removeprefix("W/") in {"*", etag} for tag in tags)


does(door, "PUT", "/users/{uuid}", "admin.users.update", headers={"if-match": "if_match"})
does(door, "DELETE", "/users/{uuid}", "admin.users.disable")
does(door, "DELETE", "/users/{uuid}/lock", "admin.users.unlock")

shows(door, "GET", "/users/{uuid}/sessions", "admin.sessions.list")
does(
    door,
    "DELETE",
    "/users/{uuid}/sessions",
    "admin.sessions.revoke",
    id="admin_sessions_revoke_all",
    left_out=["id"],
)
ends(door, "/users/{uuid}/sessions/{id}", "admin.sessions.revoke", "session")

shows(door, "GET", "/users/{uuid}/keys", "admin.keys.list")
does(
    door,
    "DELETE",
    "/users/{uuid}/keys",
    "admin.keys.revoke",
    id="admin_keys_revoke_all",
    left_out=["id"],
)
does(door, "DELETE", "/users/{uuid}/keys/{id}", "admin.keys.revoke")
