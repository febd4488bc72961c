"""Lists of accounts, for admins: filters, pages, and the whole list as a stream."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from app.domain.errors import FieldError, InvalidEmail, InvalidInput
from app.domain.names import Email, parse_stored_username
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.users import (
    PAGE_MAX,
    SEARCH_MAX,
    Position,
    Sort,
    SortKey,
    Status,
    UserFilter,
    parse_snowflake,
)
from app.operations.formats import (
    Bit,
    Cursor,
    EmailAddress,
    PageLimit,
    SearchText,
    Snowflake,
    UsernameText,
    UserSort,
)
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import UNSET, Param, Unset
from app.operations.framework.pagination import (
    LIMIT_DEFAULT,
    make_user_cursor,
    parse_user_cursor,
    require_limit,
    user_position,
)
from app.operations.login_attempts import find_locks
from app.operations.views.accounts import (
    PANEL_USER,
    PanelUser,
    PanelUsers,
    UserPage,
    render_user_page,
    render_users,
    uuid_of,
    with_locks,
)
from app.operations.views.results import RawJsonPage

_STATUSES = frozenset(Status)


@dataclass(frozen=True, slots=True)
class ListUsers:
    """Filters and order of the list, and the page to return."""

    username: Annotated[UsernameText, Param("The exact username.", "demoaccount")] | Unset = UNSET
    email: (
        Annotated[
            EmailAddress,
            Param("The exact e-mail address; case and form of its domain are ignored."),
        ]
        | Unset
    ) = UNSET
    user_id: Annotated[Snowflake, Param("The exact snowflake.", "71395574100676609")] | Unset = (
        UNSET
    )
    admin: (
        Annotated[bool, Param("Only admins (1), or only other users (0).", 1, shown=Bit)] | Unset
    ) = UNSET
    q: Annotated[SearchText, Param("A literal part of the username or e-mail address.")] | Unset = (
        UNSET
    )
    status: Annotated[str, Param("The accounts to include.", "active", shown=Status)] = "active"
    sort: Annotated[
        UserSort, Param("The sort key; a leading `-` sorts in descending order.", "id")
    ] = "id"
    limit: Annotated[PageLimit, Param("The number of accounts on a page.", LIMIT_DEFAULT)] = (
        LIMIT_DEFAULT
    )
    cursor: Annotated[Cursor | None, Param("The `next` of the previous page.")] = None


@dataclass(frozen=True, slots=True)
class ListAndCountUsers(ListUsers):
    """The same for REST, which can return the number of accounts in a header."""

    count: Annotated[
        bool, Param("Return the number of accounts on all pages in `X-Total-Count`.", True)
    ] = False


async def count_users(context: OperationContext, command: ListUsers) -> int:
    """Returns the number of accounts on all pages of a list.

    Admins may.
    """
    return await context.scan(lambda tx, _: tx.users.count(_wanted(command)))


async def list_users(context: OperationContext, command: ListUsers) -> RawJsonPage[UserPage]:
    """Returns a list of all users who have an account on the panel, page by page.

    Admins may. The list is keyed by uuid. A cursor is only valid with the filters and the order it
    was issued for.
    """

    def read(tx: Transaction, _: Principal) -> RawJsonPage[UserPage]:
        require_limit(command.limit)
        wanted, sort = _wanted(command), Sort.parse(command.sort)
        after = None if command.cursor is None else parse_user_cursor(command.cursor, wanted, sort)
        users = tx.users.list_page(wanted, sort, after, command.limit + 1, PANEL_USER)
        page, more = users[: command.limit], len(users) > command.limit
        following = make_user_cursor(_last(page), wanted, sort) if more else None
        return render_user_page(_with_locks(context, tx, page), following)

    # A search may read every account, and long pages are slow.
    is_short = command.q is UNSET and command.limit <= LIMIT_DEFAULT
    return await (context.read(read) if is_short else context.scan(read))


async def stream_users(context: OperationContext, command: ListUsers) -> AsyncIterator[bytes]:
    """Stream the whole list as JSON objects, in constant memory; `limit` and `cursor` are ignored.

    Each chunk is read in its own transaction, which checks the permission again, so a slow reader
    holds none open. A user renamed meanwhile appears at most once, whatever the order.
    """
    await context.actor()
    wanted, sort = _wanted(command), Sort.parse(command.sort)
    shown: set[int] = set()
    after: Position | None = None

    def read_chunk(tx: Transaction, _: Principal) -> Sequence[str]:
        users = tx.users.list_page(wanted, sort, after, PAGE_MAX, PANEL_USER)
        return _with_locks(context, tx, users)

    while True:
        users = await context.scan(read_chunk)
        if sort.key is SortKey.ID:
            yield render_users(users)
        else:
            numbers = [user["id"] for user in _read(users)]
            yield render_users(
                user for user, number in zip(users, numbers, strict=True) if number not in shown
            )
            shown.update(numbers)
        if len(users) < PAGE_MAX:
            return
        after = user_position(_last(users), sort)


def _with_locks(
    context: OperationContext, tx: Transaction, members: Sequence[str]
) -> Sequence[str]:
    return with_locks(members, find_locks(context, tx, map(uuid_of, members)))


def _last(members: Sequence[str]) -> PanelUser:
    (user,) = _read(members[-1:])
    return user


def _read(members: Sequence[str]) -> Iterable[PanelUser]:
    users: PanelUsers = json.loads(f"{{{','.join(members)}}}")
    return users.values()


def _wanted(command: ListUsers) -> UserFilter:
    if command.status not in _STATUSES:
        raise InvalidInput.for_fields(FieldError("status", f"must be one of {', '.join(Status)}"))
    user_id = None
    if command.user_id is not UNSET and (user_id := parse_snowflake(command.user_id)) is None:
        raise InvalidInput.for_fields(
            FieldError("user_id", "must be a snowflake: a decimal string")
        )
    username = None
    if (
        command.username is not UNSET
        and (username := parse_stored_username(command.username)) is None
    ):
        raise InvalidInput.for_fields(FieldError("username", "is not a valid username"))
    if command.q is not UNSET and len(command.q) > SEARCH_MAX:
        raise InvalidInput.for_fields(FieldError("q", f"must have at most {SEARCH_MAX} characters"))
    return UserFilter(
        status=Status(command.status),
        username=username,
        email_key=None if command.email is UNSET else _email_key("email", command.email),
        id=user_id,
        admin=None if command.admin is UNSET else command.admin,
        text=None if command.q is UNSET else command.q or None,
    )


def _email_key(name: str, raw: str) -> str:
    """Return the key of an address to look up.

    Raises InvalidInput for an invalid address, which would match nothing without a reason.
    """
    try:
        return Email.parse(raw).key
    except InvalidEmail as error:
        hint = " In a query, encode '+' as %2B." if " " in raw else ""
        raise InvalidInput.for_fields(FieldError(name, f"{error.detail}{hint}")) from None
