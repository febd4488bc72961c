"""Presence: the availability that a chat user sets."""

from enum import StrEnum

from app.domain.errors import InvalidPresence


class Presence(StrEnum):
    """The five states. Users see only their own, as they set it."""

    ONLINE = "ONLINE"
    IDLE = "IDLE"
    DND = "DND"
    INVISIBLE = "INVISIBLE"
    OFFLINE = "OFFLINE"

    @classmethod
    def parse(cls, raw: str) -> "Presence":
        """Parse a state. Raises InvalidPresence."""
        try:
            return cls(raw)
        except ValueError:
            raise InvalidPresence(
                f"A presence must be one of {', '.join(cls)}, in capitals"
            ) from None
