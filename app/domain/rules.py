"""The part of the configuration that domain rules depend on."""

from dataclasses import dataclass, field
from datetime import timedelta

from app.domain.errors import RegistrationClosed
from app.domain.names import ReservedNames


@dataclass(frozen=True, slots=True)
class Rules:
    """The configured rules of this directory."""

    registration_open: bool = True
    reserved_names: ReservedNames = field(default_factory=lambda: ReservedNames.from_config(()))
    name_hold: timedelta = timedelta(days=30)
    token_ttl: timedelta = timedelta(days=7)
    rate_limits: bool = True

    def require_open_registration(self) -> None:
        """Raise RegistrationClosed if only admins can create accounts."""
        if not self.registration_open:
            raise RegistrationClosed
