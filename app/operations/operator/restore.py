"""Preparation of a restored database for use, and the end of all credentials."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.audit import Changes, EntryFilter
from app.domain.credentials import Origin
from app.domain.policy import OPERATOR_PRINCIPAL
from app.domain.ports.repositories import LiveCredentials
from app.domain.ports.services import Clock
from app.domain.ports.store import Transaction
from app.operations.framework.audit_log import make_entry

# More numbers than can be assigned between a backup and its restore: a fixed count plus a rate.
SKIPPED_MIN = 1_000_000
SKIPPED_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class RestoreSummary:
    """The contents of a restored backup: the time of its last entry, and its valid credentials.

    `kept`: the credentials are valid again; otherwise they were ended.
    """

    as_of: datetime | None
    credentials: LiveCredentials
    kept: bool


def finish_restore(
    clock: Clock, kid: str | None, *, keep_credentials: bool
) -> Callable[[Transaction], RestoreSummary]:
    """Return the work that prepares a restored database for use, and records it.

    Credentials that ended after the backup would be valid again, and it is not known which these
    are. So all sessions and access keys are ended, and only the signing key `kid` is trusted,
    unless the operator keeps the credentials. Numbers assigned since the backup are not assigned
    again.
    """
    now = clock.now()

    def finish(tx: Transaction) -> RestoreSummary:
        newest = tx.audit.list_page(EntryFilter(), None, 1)
        as_of = newest[0].at if newest else None
        credentials = tx.totals.count_credentials(now)
        if not keep_credentials:
            _end_credentials(tx, kid, now)
        tx.restored_database.skip_numbers(_numbers_to_skip(as_of, now))
        changes: Changes = {
            "as_of": (None, None if as_of is None else as_of.isoformat()),
            "credentials": (None, "kept" if keep_credentials else "ended"),
            "sessions": (None, str(credentials.sessions)),
            "keys": (None, str(credentials.keys)),
        }
        tx.audit.add(make_entry("restored", OPERATOR_PRINCIPAL, Origin(), now, changes=changes))
        return RestoreSummary(as_of, credentials, keep_credentials)

    return finish


def end_all_credentials(clock: Clock, kid: str | None) -> Callable[[Transaction], LiveCredentials]:
    """Return the work that ends all credentials, as after a theft, and records it."""
    now = clock.now()

    def end(tx: Transaction) -> LiveCredentials:
        found = tx.totals.count_credentials(now)
        _end_credentials(tx, kid, now)
        changes: Changes = {
            "sessions": (str(found.sessions), "0"),
            "keys": (str(found.keys), "0"),
        }
        tx.audit.add(
            make_entry("credentials.end-all", OPERATOR_PRINCIPAL, Origin(), now, changes=changes)
        )
        return found

    return end


def _end_credentials(tx: Transaction, kid: str | None, now: datetime) -> None:
    """End all sessions and keys, and let the only trusted signing key sign immediately: no
    verifier has a key set without it."""
    tx.restored_database.end_credentials(kid)
    public = None if kid is None else tx.signing_keys.find(kid)
    if public is not None and public.signs_from > now:
        tx.signing_keys.renew(replace(public, signs_from=now))


def _numbers_to_skip(as_of: datetime | None, now: datetime) -> int:
    seconds = 0 if as_of is None else max(0, int((now - as_of).total_seconds()))
    return SKIPPED_MIN + SKIPPED_PER_SECOND * seconds
