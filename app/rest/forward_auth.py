"""Forward auth: who sends a request that a proxy holds, told in headers."""

from urllib.parse import quote

from starlette.responses import Response

from app.rest.door import Answer, Ask, Door
from app.usecases.views import Identity
from app.wire.http import Head

door = Door()

# All of them are in every answer that lets somebody in: some proxies leave alone what the client
# sent where one is missing.
HEADERS = {
    "X-Gatehouse-User": "The account's uuid.",
    "X-Gatehouse-User-Id": "Its snowflake.",
    "X-Gatehouse-Username": "Its username, in UTF-8 and percent-encoded (RFC 3986 section 2.1).",
    "X-Gatehouse-Admin": "1 for an admin who acts as one, else 0.",
}


@door.route(
    "GET",
    "/auth/verify",
    "auth.verify",
    {204: Answer("Let the request through, with these headers.", headers=HEADERS)},
    shows_as_is=True,
)
async def verify(ask: Ask) -> Response:
    answer = Response(status_code=204)
    answer.raw_headers += (await ask.head(_head)).fields
    return answer


def _head(who: Identity) -> Head:
    values = who["uuid"], who["user_id"], quote(who["username"], safe=""), str(who["admin"])
    return Head.of(dict(zip(HEADERS, values, strict=True)))
