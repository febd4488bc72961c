"""The claims on names as the domain's `Names`."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, or_, update

from app.domain.times import milliseconds
from app.storage.inserts import insert_new
from app.storage.prepared import ByKey
from app.storage.statements import Statement
from app.storage.tables import NameClaimRow, metadata

_CLAIMS = metadata.tables[NameClaimRow.__tablename__]
_COLUMN = _CLAIMS.c
_HELD_UNTIL = ByKey(_COLUMN.skeleton, _COLUMN.held_until)
_OF_NOBODY_ELSE = or_(_COLUMN.user_id == bindparam("of"), _COLUMN.held_until <= bindparam("now"))
_HELD = _COLUMN.held_until.is_not(None)


def _give_up(claims: ColumnElement[bool]) -> Statement:
    return Statement(delete(_CLAIMS).where(_COLUMN.skeleton == bindparam("of_name"), claims))


# What does not stand in the way of a claim: held back for others no longer, or not for this one.
_GIVE_UP = _give_up(_OF_NOBODY_ELSE)
_GIVE_UP_HELD = _give_up(or_(_OF_NOBODY_ELSE, _HELD))


class NameTable:
    """Claims on SQL: the primary key decides whose a name is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, skeleton: str, user_id: int, *, now: datetime, held_too: bool) -> bool:
        give_up = _GIVE_UP_HELD if held_too else _GIVE_UP
        give_up.run(self._connection, {"of_name": skeleton, "of": user_id, "now": now})
        claim = {"skeleton": skeleton, "user_id": user_id, "held_until": None}
        return insert_new(self._connection, _CLAIMS, claim)

    def release(self, user_id: int, held_until: datetime) -> None:
        self._connection.execute(
            update(_CLAIMS)
            .where(_COLUMN.user_id == user_id, _COLUMN.held_until.is_(None))
            .values(held_until=held_until)
        )

    def taken(self, skeletons: Collection[str], now: datetime) -> Collection[str]:
        claims, moment = _HELD_UNTIL.rows(self._connection, skeletons), milliseconds(now)
        return {name for name, until in claims if until is None or until > moment}
