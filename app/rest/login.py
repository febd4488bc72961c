"""How a login is sent: as JSON, as an OAuth2 password form, or as HTTP Basic."""

import re
from base64 import b64decode
from contextlib import suppress
from typing import Any, Literal, NotRequired
from urllib.parse import parse_qsl

from app.domain.errors import Flaw, InvalidInput, PayloadTooLarge
from app.rest.door import Ask, parse_json
from app.usecases.login import Authenticate
from app.usecases.views import Login
from app.wire.http import JSON, media_type, require_media_type
from app.wire.inputs import input_form
from app.wire.schemas import Schemas

FORM = "application/x-www-form-urlencoded"
# RFC 6749 section 4.3.2, and what clients add to it; only two of them matter here.
_FORM_NAMES = {"grant_type", "username", "password", "scope", "client_id", "client_secret"}
# Ten times what the longest name and password take; reading one costs more than reading JSON.
FORM_MAX = 64 * 1024
_BASIC = re.compile(r"basic(?: +(.*))?", re.IGNORECASE | re.DOTALL)


class IssuedToken(Login):
    """A token and whose it is; to a form also as OAuth2 clients read it (RFC 6749 section 5.1)."""

    access_token: NotRequired[str]
    token_type: NotRequired[Literal["bearer"]]
    expires_in: NotRequired[int]


_LOGIN_FORM = {
    "type": "object",
    "description": "What logging in takes, as OAuth2 clients send it (RFC 6749 section 4.3.2).",
    "properties": {
        "grant_type": {"const": "password"},
        "username": {"type": "string"},
        "password": {"type": "string", "format": "password"},
        "scope": {"type": "string"},
        "client_id": {"type": "string"},
        "client_secret": {"type": "string"},
    },
    "required": ["username", "password"],
    "additionalProperties": False,
}


def login_bodies(schemas: Schemas) -> dict[str, Any]:
    """What the documents say of the two forms that have a body."""
    form = input_form(Authenticate)
    authenticate = schemas.named("Authenticate", form.schema(schemas))
    return {
        JSON: {"schema": authenticate, "example": form.example()},
        FORM: {"schema": schemas.named("LoginForm", _LOGIN_FORM)},
    }


async def read_login(ask: Ask) -> tuple[dict[str, Any], bool]:
    """The members of a login, and whether they came as a form.

    A body counts before HTTP Basic, in which some OAuth2 clients send their own name.
    """
    ask.refuse_query()
    body = await ask.body()
    if not body and (basic := _read_basic(ask.headers.getlist("authorization"))) is not None:
        return basic, False
    require_media_type(ask.scope, JSON, FORM)
    if media_type(ask.scope) == FORM:
        return _read_form(body), True
    members = parse_json(body)
    if type(members) is not dict:
        raise InvalidInput("The body is not a JSON object.")
    return members, False


def _read_form(body: bytes) -> dict[str, Any]:
    if len(body) > FORM_MAX:
        raise PayloadTooLarge(FORM_MAX)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError:
        raise InvalidInput("The body is not a form.") from None
    members = dict(pairs)
    if len(members) < len(pairs):
        raise InvalidInput("A member of the form is given twice.")
    if members.pop("grant_type", "password") != "password":
        reason = "is 'password' where it is given"
        raise InvalidInput.of(Flaw("grant_type", reason))
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
    raise InvalidInput.of(Flaw("Authorization", "is not well-formed HTTP Basic", "header"))
