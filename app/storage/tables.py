"""All tables, as SQLModel models. The migrations create exactly these."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, text
from sqlmodel import Field, SQLModel

from app.domain.key_limits import Networks, Scope
from app.domain.presence import Presence
from app.storage.types import Milliseconds, NetworksText, PresenceText, ScopeText, Text

# Every constraint has an explicit name, which `constraints.py` maps to its domain error.
SQLModel.metadata = metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _index(name: str, *columns: str, sqlite: str, postgresql: str, unique: bool = False) -> Index:
    """A partial index, with its condition in the SQL of each engine."""
    return Index(name, *columns, unique=unique, info={"sqlite": sqlite, "postgresql": postgresql})


def _where(name: str, *columns: str, rows: str) -> Index:
    """A partial index whose condition is the same on both engines."""
    return _index(name, *columns, sqlite=rows, postgresql=rows)


def tables_on(engine: str) -> MetaData:
    """Return the tables with the conditions of their indexes, which only migrations need.

    Setting an engine's option makes SQLAlchemy import its dialect.
    """
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        if engine in index.info:
            index.dialect_options[engine]["where"] = text(index.info[engine])
    return metadata


_ADDRESS = "email_key <> ''"


class UserRow(SQLModel, table=True):
    """An account. `email_key` is '' for none, so that every column of an index has a value."""

    __tablename__ = "users"
    __table_args__ = (
        _index(
            "uq_users_email_key", "email_key", sqlite=_ADDRESS, postgresql=_ADDRESS, unique=True
        ),
        Index("ix_users_email_key_number", "email_key", "number"),
        # Partial: the planner would prefer a full index to better ones.
        _index("ix_users_admins", "number", sqlite="admin IS 1", postgresql="admin IS TRUE"),
        _index(
            "ix_users_disabled", "number", sqlite="disabled IS 1", postgresql="disabled IS TRUE"
        ),
        # AUTOINCREMENT: a number is never reused, even if its row is deleted.
        {"sqlite_autoincrement": True},
    )

    number: int = Field(primary_key=True)
    id: int = Field(sa_type=BigInteger, unique=True)
    uuid: str = Field(sa_type=Text, unique=True)
    username: str = Field(sa_type=Text, unique=True)
    display_name: str
    email: str | None
    email_key: str = Field(sa_type=Text)
    password_hash: str | None
    admin: bool
    disabled: bool
    version: int
    presence: Presence | None = Field(sa_type=PresenceText)


class NameClaimRow(SQLModel, table=True):
    """The owner of a name, by skeleton; `held_until` is null for an account's current name."""

    __tablename__ = "name_claims"

    skeleton: str = Field(sa_type=Text, primary_key=True)
    user_id: int = Field(sa_type=BigInteger, foreign_key="users.id", index=True)
    held_until: datetime | None = Field(sa_type=Milliseconds)


class RenamesRow(SQLModel, table=True):
    """The times of an account's latest renames: milliseconds since 1970, separated by spaces.

    None of them counts after `ends_at`.
    """

    __tablename__ = "renames"

    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("users.id"), primary_key=True, autoincrement=False)
    )
    times: str
    ends_at: datetime = Field(sa_type=Milliseconds)


class SessionRow(SQLModel, table=True):
    """A session that has not been revoked."""

    __tablename__ = "sessions"

    id: str = Field(sa_type=Text, primary_key=True)
    user_id: int = Field(sa_type=BigInteger, foreign_key="users.id", index=True)
    created_at: datetime = Field(sa_type=Milliseconds)
    expires_at: datetime = Field(sa_type=Milliseconds)
    last_seen_at: datetime = Field(sa_type=Milliseconds)
    address: str | None
    agent: str | None


class AccessKeyRow(SQLModel, table=True):
    """An access key that has not been revoked."""

    __tablename__ = "access_keys"

    id: str = Field(sa_type=Text, primary_key=True)
    user_id: int = Field(sa_type=BigInteger, foreign_key="users.id", index=True)
    name: str
    secret_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = Field(sa_type=Milliseconds)
    expires_at: datetime | None = Field(sa_type=Milliseconds)
    last_used_at: datetime | None = Field(sa_type=Milliseconds)
    scope: Scope = Field(sa_column=Column(ScopeText, nullable=False, server_default=Scope.ADMIN))
    networks: Networks | None = Field(sa_type=NetworksText)


class AttemptsRow(SQLModel, table=True):
    """Wrong passwords by account and place; `subject` is a snowflake, or negative for an unknown
    name. No foreign key: it would reveal which names exist."""

    __tablename__ = "password_attempts"
    # FAILURES_BEFORE_LOCK of `domain/rate_limits.py`.
    __table_args__ = (_where("ix_password_attempts_locking", "failed_at", rows="failures >= 10"),)

    subject: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    place: str = Field(sa_type=Text, primary_key=True)
    failures: int
    failed_at: datetime | None = Field(sa_type=Milliseconds)
    familiar_until: datetime | None = Field(sa_type=Milliseconds)


class IdempotencyRow(SQLModel, table=True):
    """The response to a request with an idempotency key. No foreign key: a caller may be a
    network."""

    __tablename__ = "idempotency_records"

    caller: str = Field(sa_type=Text, primary_key=True)
    key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    made_at: datetime = Field(sa_type=Milliseconds, index=True)
    answer: str


class SigningKeyRow(SQLModel, table=True):
    """The public half of a signing key."""

    __tablename__ = "signing_keys"

    kid: str = Field(sa_type=Text, primary_key=True)
    jwk: str
    created_at: datetime = Field(sa_type=Milliseconds)
    retired_at: datetime | None = Field(sa_type=Milliseconds)
    signs_from: datetime = Field(sa_type=Milliseconds)
    renewed_at: datetime = Field(sa_type=Milliseconds)
    replaces: str | None


class GuildRow(SQLModel, table=True):
    """A guild of the embedded directory."""

    __tablename__ = "guilds"

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    name: str
    owner_id: int = Field(sa_type=BigInteger, foreign_key="users.id", index=True)
    icon: str | None


class GuildMemberRow(SQLModel, table=True):
    """A user's membership in a guild."""

    __tablename__ = "guild_members"

    guild_id: int = Field(
        sa_type=BigInteger, foreign_key="guilds.id", ondelete="CASCADE", primary_key=True
    )
    user_id: int = Field(sa_type=BigInteger, foreign_key="users.id", primary_key=True, index=True)


class ServerRow(SQLModel, table=True):
    """A server of the embedded directory; it runs while it is enabled and its owner is active."""

    __tablename__ = "servers"
    __table_args__ = ({"sqlite_autoincrement": True},)

    number: int = Field(sa_column=Column(Integer, primary_key=True))
    uuid: str = Field(sa_type=Text, unique=True)
    owner_id: int = Field(sa_type=BigInteger, foreign_key="users.id", index=True)
    name: str
    enabled: bool


class AuditRow(SQLModel, table=True):
    """An entry of the audit log, which triggers protect from changes. It has no
    foreign key: the objects it names may be deleted."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_at_number", "at", "number"),
        Index("ix_audit_actor_at_number", "actor", "at", "number"),
        Index("ix_audit_target_id_at_number", "target_id", "at", "number"),
        {"sqlite_autoincrement": True},
    )

    # SQLite assigns numbers only in a column of this type.
    number: int = Field(
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    )
    at: datetime = Field(sa_type=Milliseconds)
    actor: str | None = Field(sa_type=Text)
    action: str = Field(sa_type=Text)
    outcome: str = Field(sa_type=Text)
    target_kind: str | None
    target_id: str | None = Field(sa_type=Text)
    changes: str
    door: str
    address: str | None
    request_id: str | None
    credential_kind: str | None
    credential_id: str | None


class WorkerRow(SQLModel, table=True):
    """A snowflake worker number leased by a process; on PostgreSQL only."""

    __tablename__ = "workers"

    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    holder: str
    ends_at: datetime = Field(sa_type=Milliseconds)


class LeaseRow(SQLModel, table=True):
    """A task that one process at a time does, by name, and the end of its lease."""

    __tablename__ = "leases"

    name: str = Field(sa_type=Text, primary_key=True)
    holder: str
    ends_at: datetime = Field(sa_type=Milliseconds)


class OutboxRow(SQLModel, table=True):
    """A message of the outbox, kept for some time after its delivery. `leased_until` is in
    milliseconds of the engine's clock (`repositories/outbox.py`)."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_subject_number", "subject", "number"),
        _where("ix_outbox_due", "due_at", rows="state = 'waiting'"),
        _where("ix_outbox_open", "kind", "state", "created_at", rows="state <> 'done'"),
        _where("ix_outbox_done", "ended_at", rows="state = 'done'"),
        {"sqlite_autoincrement": True},
    )

    number: int = Field(
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    )
    kind: str = Field(sa_type=Text)
    subject: int = Field(sa_type=BigInteger)
    payload: str
    created_at: datetime = Field(sa_type=Milliseconds)
    due_at: datetime = Field(sa_type=Milliseconds)
    deadline: datetime = Field(sa_type=Milliseconds)
    state: str = Field(sa_type=Text)
    attempts: int
    ended_at: datetime | None = Field(sa_type=Milliseconds)
    outcome: str | None
    error: str | None
    holder: str | None
    leased_until: int | None = Field(sa_type=BigInteger)


class StoppedServerRow(SQLModel, table=True):
    """A panel's server that was stopped because its owner is disabled."""

    __tablename__ = "stopped_servers"

    user_id: int = Field(sa_type=BigInteger, foreign_key="users.id", primary_key=True)
    server: str = Field(sa_type=Text, primary_key=True)
