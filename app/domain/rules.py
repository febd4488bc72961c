"""The rules an operator can turn: what the domain needs to know of the configuration."""

from dataclasses import dataclass, field
from datetime import timedelta

from app.domain.errors import RegistrationClosed
from app.domain.names import ReservedNames


@dataclass(frozen=True, slots=True)
class Rules:
    """How this directory is run."""

    registration_open: bool = True
    reserved_names: ReservedNames = field(default_factory=lambda: ReservedNames.of(()))
    name_hold: timedelta = timedelta(days=30)
    token_ttl: timedelta = timedelta(days=7)
    rate_limits: bool = True

    def require_open_registration(self) -> None:
        """Raise RegistrationClosed where only admins create accounts."""
        if not self.registration_open:
            raise RegistrationClosed
