"""Store the presence with the account, so that every worker and replica sees the same.

Revision: 0002, follows 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("users", sa.Column("presence", sa.String))


def downgrade() -> None:
    op.drop_column("users", "presence")
