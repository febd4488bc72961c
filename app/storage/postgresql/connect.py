"""Connecting to PostgreSQL, directly or through a pooler that keeps sessions apart."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from getpass import getuser
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
from asyncpg.exceptions import (
    CannotConnectNowError,
    InternalClientError,
    TargetServerAttributeNotMatched,
    TooManyConnectionsError,
)

from app.database_url import PostgresUrl
from app.storage.postgresql.pgpass import find_password

# Parameters that the driver reads from a URL alone.
_TLS = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "sslnegotiation",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
)
_FILES = ("passfile", "sslrootcert", "sslcert", "sslkey", "sslcrl")
# Settings that our statements rely on, regardless of those of the role or the database.
_REQUIRED = {
    "client_encoding": "UTF8",
    "default_transaction_deferrable": "off",
    # SQLAlchemy knows no 'read uncommitted', which PostgreSQL takes for this one.
    "default_transaction_isolation": "read committed",
    "lock_timeout": "0",
    "standard_conforming_strings": "on",
}


@dataclass(frozen=True, slots=True)
class Connector:
    """Open connections with the same settings.

    The settings are applied by a statement, since a pooler such as PgBouncer refuses unknown ones
    in the startup packet. A standby is not accepted: a credential revoked on the primary
    may still be valid there.
    """

    url: PostgresUrl
    settings: Mapping[str, str]
    # Seconds for all addresses together; a `connect_timeout` of the URL is for each.
    timeout: float

    async def __call__(self, patience: float | None = None) -> Any:
        """Connect to the first address that accepts a connection.

        Raises OSError, TimeoutError, asyncpg.PostgresError.
        """
        self._require_files()
        addresses = self.url.addresses
        each = int(self.url.parameters.get("connect_timeout", "0")) if patience is None else 0
        seconds = each or (patience or self.timeout) / len(addresses)
        failures: list[str] = []
        for host, port in addresses:
            try:
                return await self._connect(host, port, seconds)
            except TargetServerAttributeNotMatched:
                reason = "it is a standby, or read-only"
                error: Exception = ConnectionError(f"{host or 'the server'}: {reason}")
            except InternalClientError as confused:
                # The connection was lost while it was established.
                error = ConnectionError(f"{host or 'the server'}: {confused}")
            except (
                OSError,
                TimeoutError,
                CannotConnectNowError,
                TooManyConnectionsError,
            ) as reached:
                error = reached
            if len(addresses) == 1:
                raise error
            failures.append(f"{host}: {str(error) or type(error).__name__}")
        raise ConnectionError("; ".join(failures))

    async def _connect(self, host: str | None, port: int, patience: float) -> Any:
        given = self.url.parameters
        try:
            connection = await asyncpg.connect(
                **self._tls(),
                host=host,
                port=port,
                user=given.get("user"),
                password=self._password(host, port),
                database=given["dbname"],
                target_session_attrs=self._target(),
                timeout=patience,
            )
        except KeyError:
            # From `getuser`: the process's user has no name.
            raise ConnectionError("the URL names no user, and neither does PGUSER") from None
        try:
            await connection.execute(self._set_all(), timeout=patience)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _password(self, host: str | None, port: int) -> str | None:
        given = self.url.parameters
        password = given.get("password") or os.environ.get("PGPASSWORD")
        return password or find_password(
            given.get("passfile"),
            host=host,
            port=port,
            database=given["dbname"],
            user=given.get("user") or os.environ.get("PGUSER") or getuser(),
        )

    def _target(self) -> str:
        asked = self.url.parameters.get("target_session_attrs")
        several = len(self.url.addresses) > 1
        return asked if asked not in {None, "any"} else "read-write" if several else "primary"

    def _tls(self) -> dict[str, Any]:
        given = {name: value for name, value in self.url.parameters.items() if name in _TLS}
        if given.get("sslrootcert") != "system":
            return {"dsn": f"postgresql:///?{urlencode(given, quote_via=quote)}"}
        context = ssl.create_default_context()
        if "sslcert" in given:
            secret = given.get("sslpassword", "")
            context.load_cert_chain(given["sslcert"], given.get("sslkey"), lambda: secret)
        return {"ssl": context}

    def _require_files(self) -> None:
        """Raise OSError for an unreadable file: the driver's error does not name it."""
        for name in _FILES:
            path = self.url.parameters.get(name)
            if path is not None and path != "system" and not os.access(path, os.R_OK):
                raise ConnectionError(f"{name}: {path} cannot be read")

    def _set_all(self) -> str:
        name = self.url.parameters.get("application_name", "gatehouse")
        settings = {
            "application_name": name,
            **self.settings,
            **self.url.options,
            **_REQUIRED,
        }
        return "SELECT " + ", ".join(
            f"set_config({_literal(name)}, {_literal(value)}, false)"
            for name, value in settings.items()
        )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
