"""Rebuild name claims and address keys for a new normalization.

A skeleton ignores a dot above an i and a repeated mark on one letter; the domain of an
address is not folded. The functions of the application compute the stored values, so that
both agree. No account loses its name: if two would have the same skeleton, the first one gets it,
and the other keeps its name and its old claim, which no new name can have.

Revision: 0010, follows 0009.
"""

import sqlalchemy as sa
from alembic import op

from app.domain.names import email_key
from app.domain.ts39 import remove_repeated_marks, skeleton

revision = "0010"
down_revision = "0009"

_USERS = sa.table(
    "users",
    sa.column("number", sa.Integer),
    sa.column("id", sa.BigInteger),
    sa.column("username", sa.String),
    sa.column("email", sa.String),
    sa.column("email_key", sa.String),
)
_CLAIMS = sa.table(
    "name_claims",
    sa.column("skeleton", sa.String),
    sa.column("user_id", sa.BigInteger),
    sa.column("held_until", sa.BigInteger),
)
# Rows per fetch, so that memory stays flat.
_BATCH = 1000


def upgrade() -> None:
    _rebuild_claims()
    _rebuild_addresses()
    if op.get_bind().dialect.name == "postgresql":
        # An exhausted cursor that is still open would keep a later migration of this transaction
        # from altering the tables.
        op.execute("CLOSE ALL")


def downgrade() -> None:
    """Keep the values: the release before accepts any claim and key."""


def _rebuild_claims() -> None:
    """Rebuild current names first, from the oldest account on; then held ones."""
    connection = op.get_bind()
    columns = (_CLAIMS.c.skeleton, _CLAIMS.c.user_id, _CLAIMS.c.held_until, _USERS.c.username)
    found = connection.execute(
        sa.select(*columns)
        .join(_USERS, _USERS.c.id == _CLAIMS.c.user_id)
        .order_by(_CLAIMS.c.held_until.is_not(None), _USERS.c.number)
        .execution_options(yield_per=_BATCH)
    )
    changed = []
    for old, user_id, held_until, username in found:
        # Only the skeleton of a held name is stored.
        text = old if held_until is not None else remove_repeated_marks(username)
        if not text.isascii() and (new := skeleton(text)) != old:
            changed.append((old, new, user_id, held_until))
    for claim in changed:
        _move(connection, *claim)


def _move(
    connection: sa.Connection, old: str, new: str, user_id: int, held_until: int | None
) -> None:
    """Move a claim to its new skeleton, unless another account has that."""
    there = connection.execute(sa.select(_CLAIMS).where(_CLAIMS.c.skeleton == new)).first()
    if there is not None:
        if there.user_id == user_id:
            held_until = _longer(there.held_until, held_until)
        elif there.held_until is None or there.held_until > _now(connection):
            return
        connection.execute(sa.delete(_CLAIMS).where(_CLAIMS.c.skeleton == new))
    connection.execute(
        sa.update(_CLAIMS)
        .where(_CLAIMS.c.skeleton == old)
        .values(skeleton=new, held_until=held_until)
    )


def _longer(one: int | None, other: int | None) -> int | None:
    """Return the later end; None, a current name, never ends."""
    return None if one is None or other is None else max(one, other)


def _now(connection: sa.Connection) -> int:
    """Return the milliseconds since 1970."""
    engine = connection.dialect.name
    seconds = "strftime('%s')" if engine == "sqlite" else "extract(epoch FROM clock_timestamp())"
    return int(connection.execute(sa.text(f"SELECT {seconds}")).scalar_one()) * 1000


def _rebuild_addresses() -> None:
    """Rebuild the keys; the new ones distinguish more addresses, so none collides."""
    connection = op.get_bind()
    found = connection.execute(
        sa.select(_USERS.c.number, _USERS.c.email, _USERS.c.email_key)
        .where(_USERS.c.email_key != "")
        .execution_options(yield_per=_BATCH)
    )
    changed = [
        (number, new)
        for number, email, old in found
        if not email.isascii() and (new := email_key(email)) != old
    ]
    for number, new in changed:
        connection.execute(sa.update(_USERS).where(_USERS.c.number == number).values(email_key=new))
