"""Files whose guards matter, by area, and the tests that must detect their removal.

These tests start no server process, so that all mutants can be tried in minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Area:
    """Files, and the files or folders of the tests that run for each of their mutants."""

    files: Sequence[str]
    tests: Sequence[str]


AREAS = {
    "tokens": Area(
        ["app/security/tokens.py", "app/security/signing_keys.py", "app/domain/signing_keys.py"],
        [
            "tests/security/test_tokens.py",
            "tests/contracts/test_tokens.py",
            "tests/security/test_signing_keys.py",
            "tests/domain/test_signing_keys.py",
            "tests/operations/test_operator.py",
        ],
    ),
    "audit": Area(
        [
            "app/operations/framework/audit_log.py",
            "app/storage/repositories/audit.py",
            "app/domain/audit.py",
        ],
        [
            "tests/operations/test_audit_log.py",
            "tests/operations/test_audit.py",
            "tests/contracts/test_store_audit.py",
            "tests/rest/test_audit.py",
        ],
    ),
    "access": Area(
        [
            "app/domain/policy.py",
            "app/operations/framework/context.py",
            "app/domain/credentials.py",
            "app/domain/key_limits.py",
        ],
        [
            "tests/domain/test_policy.py",
            "tests/domain/test_credentials.py",
            "tests/domain/test_key_limits.py",
            "tests/domain/test_addresses.py",
            "tests/operations/test_rate_limits.py",
            "tests/operations/test_guesses.py",
            "tests/operations/test_context.py",
            "tests/operations/test_key_limits.py",
            "tests/operations/test_sessions_and_keys.py",
            "tests/operations/test_access.py",
            "tests/operations/test_audit.py",
            "tests/operations/test_outbox.py",
            "tests/operations/test_deliveries.py",
            "tests/parity/test_elsewhere.py",
            "tests/security/test_ready_answers.py",
            "tests/security/test_ready_ends.py",
        ],
    ),
    "throttling": Area(
        [
            "app/domain/rate_limits.py",
            "app/operations/login_attempts.py",
            "app/operations/framework/call_limits.py",
            "app/operations/login_queue.py",
            "app/security/rate_limiter.py",
            "app/security/redis_rate_limiter.py",
            "app/security/hash_queue.py",
        ],
        [
            "tests/domain/test_rate_limits.py",
            "tests/operations/test_login_attempts.py",
            "tests/operations/test_network_limits.py",
            "tests/rest/test_locked_accounts.py",
            "tests/operations/test_rate_limits.py",
            "tests/operations/test_login_queue.py",
            "tests/operations/test_login.py",
            "tests/contracts/test_rate_limiter.py",
            "tests/contracts/test_redis_failover.py",
            "tests/contracts/test_store_login_attempts.py",
            "tests/security/test_hash_queue.py",
            "tests/parity/test_rate_limits.py",
        ],
    ),
    "transactions": Area(
        [
            "app/storage/unit_of_work.py",
            "app/storage/sqlite/store.py",
            "app/storage/sqlite/kept_connection.py",
            "app/storage/sqlite/wal_index.py",
            "app/storage/postgresql/store.py",
            "app/storage/postgresql/renewal.py",
            "app/storage/postgresql/connections.py",
            "app/storage/deferred_writes.py",
            "app/storage/constraints.py",
        ],
        ["tests/contracts"],
    ),
    "bounds": Area(
        [
            "app/runtime/batch_loader.py",
            "app/runtime/bounded_map.py",
            "app/runtime/single_flight.py",
        ],
        ["tests/runtime"],
    ),
}
