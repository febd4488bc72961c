"""Profiles of users, for users."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query
from pydantic import WithJsonSchema
from starlette.responses import Response

from app.domain.names import IMPORTED_MAX
from app.http.request import JsonResponse, refuse_query
from app.operations.profiles import PROFILES_MAX, GetProfile, GetProfiles
from app.operations.views.accounts import Profile, Profiles
from app.rest.deps import Perform
from app.rest.operation_route import OperationRoute, make_router
from app.rest.strict_request import StrictRequest, query_names

router = make_router(OperationRoute)

_USER = "user"
_USERS = {
    "type": "array",
    "maxItems": PROFILES_MAX,
    "items": {"type": "string", "minLength": 1, "maxLength": IMPORTED_MAX},
}
Users = Annotated[
    Sequence[str],
    WithJsonSchema(_USERS),
    Query(
        alias=_USER,
        description=f"A user, by snowflake, uuid or username; repeated, at most {PROFILES_MAX}.",
        examples=[["71395574100676609"]],
    ),
]


@router.get("/profiles/{user}", name="users.profile", response_model=Profile)
async def get_profile(perform: Perform, command: GetProfile) -> Response:
    return await perform.view(command)


@router.get("/profiles", name="users.profiles", response_model=Profiles)
async def get_profiles(request: StrictRequest, perform: Perform, users: Users = ()) -> Response:
    names = query_names(request.query_params, repeated=_USER)
    refuse_query(names, [_USER])
    return JsonResponse(await perform(GetProfiles(list(users))))
