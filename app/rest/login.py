"""The three forms of a login: JSON, an OAuth2 password form, and HTTP Basic."""

from base64 import b64decode
from collections import Counter
from contextlib import suppress
from typing import Annotated, Any, NotRequired
from urllib.parse import parse_qsl

from app.domain.errors import FieldError, InvalidInput, PayloadTooLarge
from app.domain.text import DOT_ALL, IGNORE_CASE, Pattern
from app.http.cross_origin import refuse_foreign_page
from app.http.request import JSON, media_type, refuse_query, require_media_type
from app.operations.formats import Count, Token, constant
from app.operations.views.credentials import RefreshedLogin
from app.rest.strict_request import StrictRequest, parse_object

FORM = "application/x-www-form-urlencoded"
# RFC 6749 section 4.3.2, and what clients add to it; only two of them matter here.
_FORM_NAMES = {"grant_type", "username", "password", "scope", "client_id", "client_secret"}
# Ten times what the longest name and password take; reading one costs more than reading JSON.
FORM_MAX = 64 * 1024
_BASIC = Pattern(r"basic(?: +(.*))?", FORM_MAX, IGNORE_CASE | DOT_ALL)


class IssuedToken(RefreshedLogin):
    """A token, its user and its expiry; for a form also the members of RFC 6749 section 5.1."""

    access_token: NotRequired[Token]
    token_type: NotRequired[Annotated[str, constant("bearer")]]
    expires_in: NotRequired[Count]


async def read_login(request: StrictRequest) -> tuple[dict[str, Any], bool]:
    """Return the members of a login, and whether they came as a form.

    A body takes precedence over HTTP Basic, in which some OAuth2 clients send their client id.
    Pages of other origins can send anything but JSON without a preflight, and are refused.
    """
    if media_type(request.scope) != JSON:
        refuse_foreign_page(request.scope)
    refuse_query(request.query_params, has_body=True)
    body = await request.body()
    if not body and (basic := _read_basic(request.headers.getlist("authorization"))) is not None:
        return basic, False
    require_media_type(request.scope, JSON, FORM)
    if media_type(request.scope) == FORM:
        return _read_form(body), True
    return parse_object(body, request.scope), False


def _read_form(body: bytes) -> dict[str, Any]:
    if len(body) > FORM_MAX:
        raise PayloadTooLarge(FORM_MAX)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError:
        raise InvalidInput(
            "The body is not a form (name=value&…). For JSON, send the header "
            f"'Content-Type: {JSON}'."
        ) from None
    members = dict(pairs)
    if len(members) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidInput.for_fields(FieldError(twice, "is given twice; send it once"))
    if members.pop("grant_type", "password") != "password":
        reason = "must be 'password', or be left out"
        raise InvalidInput.for_fields(FieldError("grant_type", reason))
    ignored = _FORM_NAMES - {"username", "password"}
    return {name: value for name, value in members.items() if name not in ignored}


def _read_basic(values: list[str]) -> dict[str, Any] | None:
    """RFC 7617, in UTF-8; None where no Basic credentials were sent."""
    found = [match for value in values if (match := _BASIC.fullmatch(value))]
    if not found:
        return None
    with suppress(ValueError):
        username, colon, password = (
            b64decode(found[0][1] or "", validate=True).decode().partition(":")
        )
        if colon:
            return {"username": username, "password": password}
    raise InvalidInput.for_fields(
        FieldError(
            "Authorization", "must be Basic and username:password in base64 (RFC 7617)", "header"
        )
    )
