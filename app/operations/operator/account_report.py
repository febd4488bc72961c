"""Report on an account: why its user cannot sign in, and what they have signed in with."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from typing_extensions import TypedDict

from app.domain.audit import LOCKED, Entry, EntryFilter
from app.domain.errors import DomainError
from app.domain.ports.store import Transaction
from app.domain.ports.upstreams import Panel
from app.domain.rate_limits import UNFAMILIAR_PLACES, LoginAttempts, last_lock_end
from app.domain.timestamps import format_time
from app.domain.users import User
from app.operations.credentials import list_session_views
from app.operations.framework.services import Services
from app.operations.operator.caller import find_account
from app.operations.views.accounts import AccountView, account_view
from app.operations.views.audit import AuditEntry, entry_view
from app.operations.views.credentials import Keys, Sessions, key_view

LOGINS_SHOWN = 10
LOGIN_ACTIONS = ("users.auth", "users.password", LOCKED)


class Obstacle(TypedDict):
    """A reason why the user cannot sign in, and what to do."""

    code: str
    detail: str


class FailedAttempts(TypedDict):
    """Wrong passwords since the last right one, from a network or, for null, from all networks
    without a recent login."""

    network: str | None
    failures: int
    last_at: datetime | None
    locked_until: datetime | None


class AccountReport(AccountView):
    """An account with all that decides if its user can sign in.

    `obstacles` is empty if nothing about the account prevents it. `logins` are the newest entries
    of the audit log about logins, password changes and locks. `servers` is null if the panel that
    manages them does not respond.
    """

    has_password: bool
    locked_until: datetime | None
    obstacles: list[Obstacle]
    wrong_passwords: list[FailedAttempts]
    logins: list[AuditEntry]
    sessions: Sessions
    keys: Keys
    servers: list[str] | None


async def report_account(services: Services, account: str) -> AccountReport:
    """Return the report on an account. Raises UserNotFound."""
    report = await services.store.scan(lambda tx: _report(tx, services, account))
    if services.panel is not None:
        report["servers"] = await _list_panel_servers(services.panel, report["uuid"])
    return report


async def _list_panel_servers(panel: Panel, uuid: str) -> list[str] | None:
    try:
        servers = await panel.list_servers(uuid)
    except DomainError:
        # The rest of the report does not depend on the panel.
        return None
    return [server.uuid for server in servers.value]


def _report(tx: Transaction, services: Services, account: str) -> AccountReport:
    user, now = find_account(tx, account), services.clock.now()
    failed = tx.login_attempts.list_failed(user.id) if services.rules.rate_limits else []
    return {
        **account_view(user),
        "has_password": user.password_hash is not None,
        "locked_until": last_lock_end(failed, now),
        "obstacles": list(_obstacles(user, failed, now)),
        "wrong_passwords": [_attempts_view(attempts, now) for attempts in failed],
        "logins": list(map(entry_view, _list_logins(tx, user))),
        "sessions": list_session_views(tx, services, user.id, None),
        "keys": [key_view(key) for key in tx.keys.list_for_user(user.id)],
        "servers": list(tx.servers.list_uuids_for_user(user.id)),
    }


def _list_logins(tx: Transaction, user: User) -> Sequence[Entry]:
    found: list[Entry] = []
    for action in LOGIN_ACTIONS:
        wanted = EntryFilter(target=(user.uuid,), action=action)
        found += tx.audit.list_page(wanted, None, LOGINS_SHOWN)
    return sorted(found, key=lambda entry: (entry.at, entry.number), reverse=True)[:LOGINS_SHOWN]


def _obstacles(user: User, failed: Sequence[LoginAttempts], now: datetime) -> Iterator[Obstacle]:
    name = user.username
    if user.disabled:
        yield {
            "code": "account-disabled",
            "detail": f"The account is disabled: 'gatehouse users enable {name}' enables it.",
        }
    if user.password_hash is None:
        yield {
            "code": "no-password",
            "detail": f"The account has no password: 'gatehouse users password {name}' sets one.",
        }
    for attempts in failed:
        if (end := last_lock_end([attempts], now)) is not None:
            place = attempts.place or "networks without a recent login"
            yield {
                "code": "locked",
                "detail": f"After {attempts.failures} wrong passwords, logins from {place} are "
                f"refused until {format_time(end)}: 'gatehouse users unlock {name}' unlocks the "
                "account.",
            }


def _attempts_view(attempts: LoginAttempts, now: datetime) -> FailedAttempts:
    return {
        "network": None if attempts.place == UNFAMILIAR_PLACES else attempts.place,
        "failures": attempts.failures,
        "last_at": attempts.failed_at,
        "locked_until": last_lock_end([attempts], now),
    }
