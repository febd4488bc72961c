"""What every use case stands on."""

from dataclasses import dataclass

from app.domain.ports import (
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
    """The ports, each joined to an implementation by `app.bootstrap`, and the rules in force."""

    store: Store
    hasher: PasswordHasher
    tokens: Tokens
    clock: Clock
    ids: Ids
    randomness: Randomness
    throttle: Throttle
    rules: Rules
