"""A signing key signs some time after its publication, while its host renews a lease.

Revision: 0009, follows 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_COLUMNS = ("signs_from", "renewed_at")
_NOW = {
    "sqlite": sa.text("CAST(strftime('%s', 'now') AS INTEGER) * 1000"),
    "postgresql": sa.text("CAST(extract(epoch FROM now()) * 1000 AS BIGINT)"),
}


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("signing_keys", sa.Column(name, sa.BigInteger))
    op.add_column("signing_keys", sa.Column("replaces", sa.String))
    # Existing keys were published long ago; their leases start now.
    keys = sa.table("signing_keys", *map(sa.column, ("created_at", *_COLUMNS)))
    now = _NOW[op.get_bind().dialect.name]
    op.execute(keys.update().values(signs_from=keys.c.created_at, renewed_at=now))
    with op.batch_alter_table("signing_keys") as table:
        for name in _COLUMNS:
            table.alter_column(name, existing_type=sa.BigInteger, nullable=False)


def downgrade() -> None:
    for name in ("replaces", *_COLUMNS):
        op.drop_column("signing_keys", name)
