"""The claims on names as the domain's `Names`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from itertools import repeat

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    bindparam,
    delete,
    or_,
    select,
    update,
)

from app.domain.rate_limits import RENAMES_WITHIN
from app.domain.timestamps import from_milliseconds, to_milliseconds
from app.storage.compiled import CompiledStatement
from app.storage.dialect import Rows
from app.storage.inserts import insert_new, insert_or_replace
from app.storage.tables import NameClaimRow, RenamesRow, metadata

_CLAIMS = metadata.tables[NameClaimRow.__tablename__]
_RENAMES = metadata.tables[RenamesRow.__tablename__]
_COLUMN = _CLAIMS.c
_OF_NOBODY_ELSE = or_(_COLUMN.user_id == bindparam("of"), _COLUMN.held_until <= bindparam("now"))
CLAIMS = select(_COLUMN.skeleton, _COLUMN.held_until)
_HELD = _COLUMN.held_until.is_not(None)


def _give_up(claims: ColumnElement[bool]) -> CompiledStatement:
    return CompiledStatement(
        delete(_CLAIMS).where(_COLUMN.skeleton == bindparam("of_name"), claims)
    )


# What does not stand in the way of a claim: held back for others no longer, or not for this one.
_GIVE_UP = _give_up(_OF_NOBODY_ELSE)
_GIVE_UP_HELD = _give_up(or_(_OF_NOBODY_ELSE, _HELD))


def taken_of(rows: Rows, now: datetime) -> Collection[str]:
    """Return the names in rows of CLAIMS that a new account cannot have."""
    return {name for name, until in rows if until is None or until > now}


@cache
def _claims_on(names: int) -> CompiledStatement:
    # Of names, which have no NUL, unlike other texts of clients.
    wanted = [bindparam(f"name{n}", type_=String) for n in range(names)]
    return CompiledStatement(CLAIMS.where(_COLUMN.skeleton.in_(wanted)))


class NameRepository:
    """Claims on SQL: the primary key decides whose a name is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, skeleton: str, user_id: int, *, now: datetime, include_held: bool) -> bool:
        give_up = _GIVE_UP_HELD if include_held else _GIVE_UP
        give_up.run(self._connection, {"of_name": skeleton, "of": user_id, "now": now})
        claim = {"skeleton": skeleton, "user_id": user_id, "held_until": None}
        return insert_new(self._connection, _CLAIMS, claim)

    def find_current_owner(self, skeleton: str) -> int | None:
        owner = select(_COLUMN.user_id).where(
            _COLUMN.skeleton == skeleton, _COLUMN.held_until.is_(None)
        )
        return self._connection.scalar(owner)

    def hold_current(self, user_id: int, held_until: datetime) -> None:
        self._connection.execute(
            update(_CLAIMS)
            .where(_COLUMN.user_id == user_id, _COLUMN.held_until.is_(None))
            .values(held_until=held_until)
        )

    def release_oldest_held(self, user_id: int, max_count: int) -> None:
        held = (
            select(_COLUMN.skeleton)
            .where(_COLUMN.user_id == user_id, _HELD)
            .order_by(_COLUMN.held_until.desc(), _COLUMN.skeleton)
            .offset(max_count)
        )
        self._connection.execute(delete(_CLAIMS).where(_COLUMN.skeleton.in_(held)))

    def list_renames(self, user_id: int) -> Sequence[datetime]:
        found = self._connection.scalar(
            select(_RENAMES.c.times).where(_RENAMES.c.user_id == user_id)
        )
        return [from_milliseconds(int(time)) for time in (found or "").split()]

    def save_renames(self, user_id: int, times: Sequence[datetime]) -> None:
        text = " ".join(str(to_milliseconds(time)) for time in times)
        row = {"user_id": user_id, "times": text, "ends_at": max(times) + RENAMES_WITHIN}
        insert_or_replace(self._connection, _RENAMES, row)

    def find_taken(self, skeletons: Collection[str], now: datetime) -> Collection[str]:
        # Few sizes, so that few statements are prepared. No name is empty.
        size = 1 << max(len(skeletons) - 1, 0).bit_length()
        names = [*skeletons, *repeat("", size - len(skeletons))]
        values = {f"name{n}": name for n, name in enumerate(names)}
        return taken_of(_claims_on(size).all(self._connection, values), now)
