"""The part of the configuration that domain rules depend on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from app.domain.addresses import Network, is_in_any
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
    rate_limit_exempt: Sequence[Network] = ()

    def is_exempt(self, address: str | None) -> bool:
        """Return whether no limit by address counts a client at this address."""
        return is_in_any(address, self.rate_limit_exempt)

    def require_open_registration(self) -> None:
        """Raise RegistrationClosed if only admins can create accounts."""
        if not self.registration_open:
            raise RegistrationClosed
