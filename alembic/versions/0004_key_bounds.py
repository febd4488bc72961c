"""An access key may be limited to a scope and to networks.

Revision: 0004, follows 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Existing keys have no limits.
    op.add_column(
        "access_keys", sa.Column("scope", sa.String, nullable=False, server_default="admin")
    )
    op.add_column("access_keys", sa.Column("networks", sa.String))


def downgrade() -> None:
    # The previous schema has no limits, so these keys would become unlimited.
    op.execute("DELETE FROM access_keys WHERE scope <> 'admin' OR networks IS NOT NULL")
    op.drop_column("access_keys", "networks")
    op.drop_column("access_keys", "scope")
