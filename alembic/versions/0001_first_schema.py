"""The first schema: accounts, names, credentials, guilds and servers.

Revision: 0001, follows nothing.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Copies, independent of later changes to the tables. Times are milliseconds since 1970.
_TIME = sa.BigInteger
# Compared and sorted by code points on every engine.
_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    _create_accounts()
    _create_text_index()
    _create_credentials()
    _create_registry()


def downgrade() -> None:
    for name in (
        "servers",
        "guild_members",
        "guilds",
        "signing_keys",
        "access_keys",
        "sessions",
        "name_claims",
    ):
        op.drop_table(name)
    if op.get_bind().dialect.name == "sqlite":
        op.drop_table("users_text")
    op.drop_table("users")


def _create_accounts() -> None:
    op.create_table(
        "users",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("uuid", _TEXT, nullable=False),
        sa.Column("username", _TEXT, nullable=False),
        sa.Column("display_name", sa.String, nullable=False),
        sa.Column("email", sa.String),
        sa.Column("email_key", _TEXT, nullable=False),
        sa.Column("password_hash", sa.String),
        sa.Column("admin", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_users"),
        sa.UniqueConstraint("id", name="uq_users_id"),
        sa.UniqueConstraint("uuid", name="uq_users_uuid"),
        sa.UniqueConstraint("username", name="uq_users_username"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_users_email_key",
        "users",
        ["email_key"],
        unique=True,
        sqlite_where=sa.text("email_key <> ''"),
        postgresql_where=sa.text("email_key <> ''"),
    )
    op.create_index("ix_users_email_key_number", "users", ["email_key", "number"])
    for name, column in (("admins", "admin"), ("disabled", "disabled")):
        op.create_index(
            f"ix_users_{name}",
            "users",
            ["number"],
            sqlite_where=sa.text(f"{column} IS 1"),
            postgresql_where=sa.text(f"{column} IS TRUE"),
        )
    op.create_table(
        "name_claims",
        sa.Column("skeleton", _TEXT, nullable=False),
        _user_id("name_claims"),
        sa.Column("held_until", _TIME),
        sa.PrimaryKeyConstraint("skeleton", name="pk_name_claims"),
    )
    op.create_index("ix_name_claims_user_id", "name_claims", ["user_id"])


def _create_text_index() -> None:
    """Trigrams of names and addresses, to find parts of them."""
    if op.get_bind().dialect.name == "postgresql":
        _create_trigram_index()
    else:
        _create_full_text_index()


def _create_trigram_index() -> None:
    """postgresql.org/docs/current/pgtrgm.html; where the server lacks it, a search is slower."""
    op.execute(
        """
        DO $$ BEGIN
            CREATE EXTENSION IF NOT EXISTS pg_trgm;
            CREATE INDEX users_text ON users USING gin
                (username gin_trgm_ops, email_key gin_trgm_ops);
        EXCEPTION WHEN undefined_file OR insufficient_privilege OR feature_not_supported THEN
            RAISE WARNING 'pg_trgm is unavailable: searching for a part of a name reads every row';
        END $$
        """
    )


def _create_full_text_index() -> None:
    """sqlite.org/fts5.html, kept by triggers on `users`."""
    op.execute(
        "CREATE VIRTUAL TABLE users_text USING fts5("
        "username, email_key, content='users', content_rowid='number', tokenize='trigram')"
    )
    add = (
        "INSERT INTO users_text (rowid, username, email_key) "
        "VALUES (new.number, new.username, new.email_key);"
    )
    remove = (
        "INSERT INTO users_text (users_text, rowid, username, email_key) "
        "VALUES ('delete', old.number, old.username, old.email_key);"
    )
    changed = "WHEN old.username <> new.username OR old.email_key <> new.email_key"
    for event, condition, steps in (
        ("INSERT", "", add),
        ("UPDATE", changed, remove + add),
        ("DELETE", "", remove),
    ):
        name = f"users_text_{event.lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON users {condition} BEGIN {steps} END")


def _create_credentials() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", _TEXT, nullable=False),
        _user_id("sessions"),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("last_seen_at", _TIME, nullable=False),
        sa.Column("address", sa.String),
        sa.Column("agent", sa.String),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "access_keys",
        sa.Column("id", _TEXT, nullable=False),
        _user_id("access_keys"),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_access_keys"),
    )
    op.create_index("ix_access_keys_user_id", "access_keys", ["user_id"])
    op.create_table(
        "signing_keys",
        sa.Column("kid", _TEXT, nullable=False),
        sa.Column("jwk", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("retired_at", _TIME),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_keys"),
    )


def _create_registry() -> None:
    op.create_table(
        "guilds",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        _user_id("guilds", "owner_id"),
        sa.Column("icon", sa.String),
        sa.PrimaryKeyConstraint("id", name="pk_guilds"),
    )
    op.create_index("ix_guilds_owner_id", "guilds", ["owner_id"])
    op.create_table(
        "guild_members",
        sa.Column(
            "guild_id",
            sa.BigInteger,
            sa.ForeignKey("guilds.id", name="fk_guild_members_guild_id", ondelete="CASCADE"),
            nullable=False,
        ),
        _user_id("guild_members"),
        sa.PrimaryKeyConstraint("guild_id", "user_id", name="pk_guild_members"),
    )
    op.create_index("ix_guild_members_user_id", "guild_members", ["user_id"])
    op.create_table(
        "servers",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("uuid", _TEXT, nullable=False),
        _user_id("servers", "owner_id"),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_servers"),
        sa.UniqueConstraint("uuid", name="uq_servers_uuid"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_servers_owner_id", "servers", ["owner_id"])


def _user_id(table: str, name: str = "user_id") -> "sa.Column[Any]":
    reference = sa.ForeignKey("users.id", name=f"fk_{table}_{name}")
    return sa.Column(name, sa.BigInteger, reference, nullable=False)
