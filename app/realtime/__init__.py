"""What changes too often for the store: presence, in the memory of the process."""

from app.domain.presence import Presence


class ProcessPresences:
    """Presences of one process; a restart forgets them."""

    def __init__(self) -> None:
        self._presences: dict[int, Presence] = {}

    def get(self, user_id: int) -> Presence | None:
        """The presence last set, if any."""
        return self._presences.get(user_id)

    def set(self, user_id: int, presence: Presence) -> None:
        """Remember a presence."""
        self._presences[user_id] = presence

    def drop(self, user_id: int) -> None:
        """Forget an account's presence."""
        self._presences.pop(user_id, None)
