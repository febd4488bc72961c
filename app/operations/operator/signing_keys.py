"""The keys that sign tokens: what the audit log records of a rotation, and the published halves."""

from collections.abc import Callable, Sequence

from app.domain.audit import Ref, RefKind
from app.domain.credentials import Origin
from app.domain.policy import OPERATOR_PRINCIPAL
from app.domain.ports.store import Transaction
from app.domain.signing_keys import PublicKey
from app.operations.framework.audit_log import make_entry
from app.operations.framework.services import Services


def record_rotation(services: Services) -> Callable[[Transaction, str | None, str], None]:
    """Return a function that records a key rotation, in the transaction that publishes the new
    key."""
    now = services.clock.now()

    def record(tx: Transaction, old: str | None, new: str) -> None:
        target, changes = Ref(RefKind.SIGNING_KEY, new), {"signing_key": (old, new)}
        tx.audit.add(
            make_entry(
                "signing-keys.rotate",
                OPERATOR_PRINCIPAL,
                Origin(),
                now,
                target=target,
                changes=changes,
            )
        )

    return record


async def list_published_keys(services: Services) -> Sequence[PublicKey]:
    """Return the public halves of all signing keys whose tokens may still be valid."""
    now = services.clock.now()
    keys = await services.store.read(lambda tx: tx.signing_keys.list_all())
    return [key for key in keys if key.is_trusted(now)]
