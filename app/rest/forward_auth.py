"""Forward auth: the identity behind a request that a proxy holds, in headers."""

from urllib.parse import quote

from starlette.responses import Response

from app.http.params import view_of
from app.operations.forward_auth import Verify
from app.operations.views.accounts import Identity
from app.rest.deps import Perform
from app.rest.operation_route import OperationRoute, make_router
from app.rest.responses import documented_headers

router = make_router(OperationRoute)

# Every 204 has all of them: some proxies keep what the client sent where one is missing.
HEADERS = {
    "X-Gatehouse-User": "The account's uuid.",
    "X-Gatehouse-User-Id": "Its snowflake.",
    "X-Gatehouse-Username": "Its username, in UTF-8 and percent-encoded (RFC 3986 section 2.1).",
    "X-Gatehouse-Admin": "1 for an admin who acts as one, else 0.",
}


@router.get(
    "/auth/verify",
    name="auth.verify",
    status_code=204,
    response_description="Let the request through, with these headers.",
    responses={204: {"headers": documented_headers(HEADERS)}},
)
async def verify(perform: Perform, command: Verify) -> Response:
    who: Identity = view_of(await perform(command))
    values = who["uuid"], who["user_id"], quote(who["username"], safe=""), str(who["admin"])
    return Response(status_code=204, headers=dict(zip(HEADERS, values, strict=True)))
