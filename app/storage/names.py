"""The claims on names as the domain's `Names`."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from app.storage.tables import NameClaimRow, metadata

_CLAIMS = metadata.tables[NameClaimRow.__tablename__]
_COLUMN = _CLAIMS.c


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
        claim = insert(_CLAIMS).values(skeleton=skeleton, user_id=user_id, held_until=None)
        claim = claim.on_conflict_do_nothing(index_elements=[_COLUMN.skeleton])
        return bool(self._connection.execute(claim).rowcount)

    def release(self, user_id: int, held_until: datetime) -> None:
        self._connection.execute(
            update(_CLAIMS)
            .where(_COLUMN.user_id == user_id, _COLUMN.held_until.is_(None))
            .values(held_until=held_until)
        )

    def is_taken(self, skeleton: str, now: datetime) -> bool:
        stands = or_(_COLUMN.held_until.is_(None), _COLUMN.held_until > now)
        return bool(
            self._connection.scalar(select(exists().where(_COLUMN.skeleton == skeleton, stands)))
        )
