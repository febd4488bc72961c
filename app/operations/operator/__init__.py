"""Operations of the command line: accounts by any of their names, the first admin, keys, messages.

The operator can read the data directory and needs no credential.
"""

from app.operations.operator.account_report import report_account
from app.operations.operator.accounts import (
    create_account,
    list_accounts,
    set_disabled,
    set_password,
    stream_accounts,
    unlock_account,
    update_account,
)
from app.operations.operator.audit import list_audit_log
from app.operations.operator.caller import OPERATOR_CALLER
from app.operations.operator.credentials import (
    create_key_for,
    end_sessions_of,
    list_keys_of,
    list_sessions_of,
    revoke_key,
    revoke_keys_of,
)
from app.operations.operator.first_admin import FIRST_ADMIN, create_first_admin, needs_first_admin
from app.operations.operator.outbox import drop_message, list_outbox, retry_message
from app.operations.operator.restore import (
    RestoreSummary,
    end_all_credentials,
    finish_restore,
)
from app.operations.operator.signing_keys import list_published_keys, record_rotation

__all__ = [
    "FIRST_ADMIN",
    "OPERATOR_CALLER",
    "RestoreSummary",
    "create_account",
    "create_first_admin",
    "create_key_for",
    "drop_message",
    "end_all_credentials",
    "end_sessions_of",
    "finish_restore",
    "list_accounts",
    "list_audit_log",
    "list_keys_of",
    "list_outbox",
    "list_published_keys",
    "list_sessions_of",
    "needs_first_admin",
    "record_rotation",
    "report_account",
    "retry_message",
    "revoke_key",
    "revoke_keys_of",
    "set_disabled",
    "set_password",
    "stream_accounts",
    "unlock_account",
    "update_account",
]
