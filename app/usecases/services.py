"""What every use case stands on."""

from dataclasses import dataclass

from app.domain.ports import (
    BreachedPasswords,
    Clock,
    Ids,
    PasswordHasher,
    Randomness,
    Store,
    Throttle,
    Tokens,
)
from app.domain.rules import Rules


@dataclass(frozen=True, slots=True)
class Services:
    """The ports, each joined to an implementation by `app.bootstrap`, and the rules in force.

    Without `breached`, the shipped list of common passwords is all that is asked.
    """

    store: Store
    hasher: PasswordHasher
    tokens: Tokens
    clock: Clock
    ids: Ids
    randomness: Randomness
    throttle: Throttle
    rules: Rules
    breached: BreachedPasswords | None = None
