"""Requests of path operations, read within the limits and strictly."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.types import Receive, Scope

from app.domain.errors import FieldError, InvalidInput
from app.domain.text import Pattern
from app.http import json
from app.http.json_faults import not_an_object
from app.http.params import input_schema
from app.http.public_url import without_base_path
from app.http.request import JSON, context_of, read_body, require_media_type
from app.operations.framework.operation import Operation

if TYPE_CHECKING:
    from app.rest.operation_route import StrictRoute

# The path of each operation also exists below this prefix.
ALIAS = "/api"
# Decoding a query replaces bytes that are not UTF-8 with this.
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"
# Bodies of clients that mean none: axios sends null and "", PHP an empty array.
_BLANKS = rb"[ \t\r\n]*+"
_NO_BODY = Pattern(
    rb'(?:\xef\xbb\xbf)?+%b(?:null|""|\[%b\]|\{%b\})?+%b' % (_BLANKS, _BLANKS, _BLANKS, _BLANKS),
    max_length=1024,
)


class StrictRequest(Request):
    """A request with a bounded body and strict JSON, for FastAPI to read from.

    `operation` is the one that it asks for, if any; `is_performed` is set when it begins.
    """

    def __init__(self, scope: Scope, receive: Receive, route: "StrictRoute") -> None:
        super().__init__(scope, receive)
        self.route = route
        self.operation: Operation | None = None
        self.is_performed = False
        self._content: bytes | None = None
        self._members: dict[str, Any] | None = None

    async def body(self) -> bytes:
        """Return the body. Raises PayloadTooLarge, UnsupportedMediaType."""
        if self._content is None:
            self._content = await read_body(self.scope, self.receive)
        return self._content

    async def json_body(self) -> bytes:
        """Return the body of a request whose content type is JSON. Raises as `body` does."""
        require_media_type(self.scope, JSON)
        return await self.body()

    async def json(self) -> dict[str, Any]:
        """Return the JSON object in the body. Raises as `body` does, and InvalidInput."""
        if self._members is None:
            self._members = parse_object(await self.json_body(), self.scope)
        return self._members

    async def refuse_body(self) -> None:
        """Raise InvalidInput for a body that does not mean none."""
        if not _NO_BODY.fullmatch(await self.body()):
            raise InvalidInput("This route does not accept a body; send none.")


def prefix_of(scope: Scope) -> str:
    """Return what links put before a path: the base path, and the alias if the request used it."""
    context = context_of(scope)
    path = without_base_path(scope["path"], context.base_path)
    return context.link_to(ALIAS if path.startswith(f"{ALIAS}/") else "")


def joined(lines: Sequence[str]) -> str | None:
    """Join the lines of a header, which are one list (RFC 9110 section 5.3); None without any."""
    return ", ".join(lines) if lines else None


def parse_json(body: bytes) -> Any:
    """Parse a JSON body. Raises InvalidInput."""
    try:
        return json.parse(body)
    except json.DuplicateMember as error:
        raise InvalidInput.for_fields(
            FieldError(error.name, "is given twice; send it once")
        ) from None
    except json.TooManyValues as error:
        raise InvalidInput(f"{json.TOO_LARGE}: {error}.") from None
    except ValueError as error:
        raise InvalidInput(json.sentence(body, error)) from None


def parse_object(body: bytes, scope: Scope) -> dict[str, Any]:
    """Parse the JSON body of a request, which must be an object. Raises InvalidInput."""
    value = parse_json(body)
    if type(value) is not dict:
        raise InvalidInput(not_an_object("The body", value))
    if value.get("jsonrpc") is not None:
        rpc = context_of(scope).link_to("/rpc")
        raise InvalidInput(f"The body is a call of JSON-RPC; send it to {rpc}.")
    return value


def read_input(input_type: type, members: Mapping[str, Any], required: Iterable[str] = ()) -> Any:
    """Read an input dataclass from JSON values. Raises InvalidInput.

    `required` names optional members that the caller requires.
    """
    missing = [FieldError(name, "is required") for name in required if name not in members]
    command = input_schema(input_type).read(members)
    if missing:
        raise InvalidInput.for_fields(*missing)
    return command


def query_names(query: QueryParams, repeated: str | None = None) -> Collection[str]:
    """Return the names of the query parameters.

    Raises InvalidInput for duplicates, but for that of the parameter `repeated`.
    """
    names = dict[str, None]()
    for name, value in query.multi_items():
        if name in names and name != repeated:
            raise InvalidInput.for_fields(FieldError(name, "is given twice; send it once", "query"))
        if _UNREADABLE in value:
            raise InvalidInput.for_fields(
                FieldError(name, "must be UTF-8, percent-encoded", "query")
            )
        names[name] = None
    return names
