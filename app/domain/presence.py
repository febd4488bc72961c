"""Presence: what a chat user says of being there."""

from enum import StrEnum

from app.domain.errors import InvalidPresence


class Presence(StrEnum):
    """The five states. Only the account's holder sees his own, as he set it."""

    ONLINE = "ONLINE"
    IDLE = "IDLE"
    DND = "DND"
    INVISIBLE = "INVISIBLE"
    OFFLINE = "OFFLINE"

    @classmethod
    def parse(cls, raw: str) -> "Presence":
        """Read one of the five; raise InvalidPresence."""
        try:
            return cls(raw)
        except ValueError:
            raise InvalidPresence(f"A presence must be one of {', '.join(cls)}") from None
