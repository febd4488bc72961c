"""The claims on names as the domain's `Names`."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, update

from app.domain.times import milliseconds
from app.storage.inserts import insert_new
from app.storage.prepared import ByKey
from app.storage.tables import NameClaimRow, metadata

_CLAIMS = metadata.tables[NameClaimRow.__tablename__]
_COLUMN = _CLAIMS.c
_HELD_UNTIL = ByKey(_COLUMN.skeleton, _COLUMN.held_until)


class NameTable:
    """Claims on SQL: the primary key decides whose a name is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, skeleton: str, user_id: int, *, now: datetime, held_too: bool) -> bool:
        is_held: ColumnElement[bool] = _COLUMN.held_until.is_not(None)
        if not held_too:
            is_held = and_(is_held, _COLUMN.held_until <= now)
        in_the_way = or_(_COLUMN.user_id == user_id, is_held)
        self._connection.execute(delete(_CLAIMS).where(_COLUMN.skeleton == skeleton, in_the_way))
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
