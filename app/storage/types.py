"""Column types."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, String
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.domain.key_limits import Networks, Scope
from app.domain.presence import Presence
from app.domain.timestamps import EPOCH, to_milliseconds
from app.storage.dialect import dialect_named


class Milliseconds(TypeDecorator[datetime]):
    """A time in UTC as milliseconds since 1970: the same on every engine, and never naive."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else to_milliseconds(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else EPOCH + timedelta(milliseconds=value)


class PresenceText(TypeDecorator[Presence]):
    """A presence, stored by name."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Presence | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Presence | None:  # noqa: ARG002
        return None if value is None else Presence(value)


class ScopeText(TypeDecorator[Scope]):
    """A scope, stored by name."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Scope | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Scope | None:  # noqa: ARG002
        return None if value is None else Scope(value)


class NetworksText(TypeDecorator[Networks]):
    """Networks in CIDR notation, separated by spaces."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Networks | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Networks | None:  # noqa: ARG002
        return None if value is None else Networks.parse(value.split(" "))


class Text(TypeDecorator[str]):
    """A string that compares and sorts by code points on every engine.

    No stored string has a NUL. PostgreSQL cannot even compare with one, so a parameter gets a
    character in its place that no stored string has, either.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        return String(collation=dialect_named(dialect.name).collation)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else without_nul(value)


def without_nul(text: str) -> str:
    """Replace NUL with a noncharacter, which matches no stored string, either."""
    return text.replace("\0", "\ufffe")
