"""Accounts, for panel admins, and the existence check, for anyone."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated

from fastapi import Header, Path
from pydantic import WithJsonSchema
from starlette.responses import Response, StreamingResponse

from app.domain.preconditions import Preconditions
from app.domain.users import parse_uuid, user_not_found
from app.http.cross_origin import refuse_foreign_page
from app.http.idempotency import replayed
from app.http.request import JSON, JsonResponse, refuse_query
from app.operations.accounts import CheckUsername
from app.operations.admin_user_lists import ListAndCountUsers
from app.operations.admin_users import AdminCreateUser, AdminUpdateUser, UserByUuid
from app.operations.catalog import COUNT_USERS, OPERATIONS
from app.operations.formats import UserRef
from app.operations.views.accounts import CreatedUser, PanelUserDetail, PanelUsers, UserPage
from app.operations.views.results import Created, RawJsonPage
from app.rest.deps import (
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    Perform,
    WriteConditions,
)
from app.rest.operation_route import AS_TEXT, IF_NONE_MATCH, OperationRoute, make_router
from app.rest.responses import documented_headers, page_links
from app.rest.strict_request import StrictRequest, joined, prefix_of

router = make_router(OperationRoute)

Prefer = Annotated[
    tuple[str, ...],
    Header(
        alias="Prefer",
        description="`return=representation` (RFC 7240) asks for 201 and the account.",
    ),
    # Of any length: preferences that are not known are ignored.
    WithJsonSchema({"type": "string"}),
]
IfChanged = Annotated[
    tuple[str, ...],
    Header(
        alias=IF_NONE_MATCH,
        description="Only if the account has another entity tag by now.",
    ),
    AS_TEXT,
]
UuidOrName = Annotated[
    UserRef, Path(description="A uuid (36 characters), else a username.", examples=["demoaccount"])
]
_GET, _CHECK = OPERATIONS["admin.users.get"], OPERATIONS["users.check"]
_LINK = "RFC 8288: `first`, and `next` where a page follows; only with `limit` or `cursor`."
TOTAL_COUNT = "X-Total-Count"
_TOTAL = "The number of accounts on all pages; only with `count`."
_ETAG = "The strong entity tag of this version of the account and its servers."
_CREATED = documented_headers({"Location": "Where the account is."})
_EXISTS = "For a username: it is taken, or held back."


@router.get(
    "/users",
    name="admin.users.list",
    response_model=PanelUsers,
    response_description=(
        "The accounts by uuid: all of them, or one page where `limit` or `cursor` is given."
    ),
    responses={200: {"headers": documented_headers({"Link": _LINK, TOTAL_COUNT: _TOTAL})}},
)
async def list_users(perform: Perform, command: ListAndCountUsers) -> Response:
    headers = {}
    if command.count:
        headers[TOTAL_COUNT] = str(await perform(command, operation=COUNT_USERS))
    query = perform.request.query_params
    if "limit" not in query and "cursor" not in query:
        return await _stream(perform.pieces(command), headers)
    page: RawJsonPage[UserPage] = await perform(command)
    headers["Link"] = page_links(perform.request, page.next)
    return Response(page.listed, headers=headers, media_type=JSON)


async def _stream(pieces: AsyncIterator[bytes], headers: Mapping[str, str]) -> Response:
    """Stream one JSON object made of many; the first is awaited here, so that errors are shown."""
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

    return StreamingResponse(chunks(), headers=headers, media_type=JSON)


@router.post(
    "/users",
    name="admin.users.create",
    status_code=201,
    response_model=CreatedUser,
    response_description="Created, and shown as `Prefer: return=representation` asked.",
    responses={201: {"headers": _CREATED}, 204: {"description": "Created.", "headers": _CREATED}},
)
async def create_user(
    perform: Perform,
    command: AdminCreateUser,
    idempotency_key: IdempotencyKey = (),
    prefer: Prefer = (),
) -> Response:
    result: Created[CreatedUser] = await perform(command, idempotency_key=idempotency_key)
    location = f"{prefix_of(perform.request.scope)}/users/{result.view['uuid']}"
    headers = {"Location": location, **replayed(result)}
    if not _prefers_representation(prefer):
        return Response(status_code=204, headers=headers)
    headers["Preference-Applied"] = "return=representation"
    return JsonResponse(result.view, 201, headers)


def _prefers_representation(lines: Sequence[str]) -> bool:
    """Return whether `return=representation` is preferred (RFC 7240 section 4.2)."""
    preferences = ",".join(lines).lower().split(",")
    tokens = (preference.partition(";")[0].replace(" ", "") for preference in preferences)
    returns = [token for token in tokens if token.startswith("return=")]
    return bool(returns) and returns[0].replace('"', "") == "return=representation"


@router.head("/users/{uuid}", name="users.check", status_code=204, response_description=_EXISTS)
@router.get(
    "/users/{uuid}",
    name="admin.users.get",
    response_model=PanelUserDetail,
    summary=_GET.summary,
    description=f"For a uuid: {_GET.description}\n\n"
    f"For a username: {_CHECK.summary}. {_CHECK.description}",
    response_description="For a uuid, to admins: the account.",
    responses={
        200: {"headers": documented_headers({"ETag": _ETAG})},
        204: {"description": _EXISTS},
        304: {"description": "For a uuid: `If-None-Match` names the version that is there."},
    },
)
async def get_user(
    request: StrictRequest,
    perform: Perform,
    uuid: UuidOrName,
    if_match: IfMatch = (),
    if_none_match: IfChanged = (),
) -> Response:
    request.operation = _CHECK if parse_uuid(uuid) is None else _GET
    if request.operation is _CHECK:
        return await _check_username(request, perform, uuid)
    refuse_query(request.query_params)
    found = await perform(UserByUuid(uuid), preconditions=Preconditions(joined(if_match)))
    headers = {"ETag": found.etag, "Cache-Control": "private, no-cache"}
    if _is_known(found.etag, if_none_match):
        return Response(status_code=304, headers=headers)
    return JsonResponse(found.view, headers=headers)


async def _check_username(request: StrictRequest, perform: Perform, username: str) -> Response:
    refuse_foreign_page(request.scope)
    refuse_query(request.query_params)
    if not await perform(CheckUsername(username)):
        raise user_not_found(username)
    return Response(status_code=204)


def _is_known(etag: str, lines: Sequence[str]) -> bool:
    """Return whether If-None-Match lists the tag (RFC 9110 section 13.1.2, weak comparison)."""
    tags = ",".join(lines).split(",")
    return any(tag.strip().removeprefix("W/") in {"*", etag} for tag in tags)


@router.put("/users/{uuid}", name="admin.users.update", status_code=204)
async def update_user(
    perform: Perform, command: AdminUpdateUser, if_none_match: IfNoneMatch = ()
) -> None:
    await perform(command, preconditions=Preconditions(if_none_match=joined(if_none_match)))


@router.delete("/users/{uuid}", name="admin.users.disable", status_code=204)
async def disable_user(
    perform: Perform, command: UserByUuid, preconditions: WriteConditions
) -> None:
    await perform(command, preconditions=preconditions)


@router.delete("/users/{uuid}/lock", name="admin.users.unlock", status_code=204)
async def unlock_user(perform: Perform, command: UserByUuid) -> None:
    await perform(command)
