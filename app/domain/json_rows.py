"""JSON objects that the database writes while it reads their rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RowShape:
    """The members of a JSON object in order, each with the attribute it is read from.

    Texts become a string or null, flags 0 or 1. A flag in `only_set` is 1 or absent; the first
    member must not be one of those.
    """

    members: tuple[tuple[str, str], ...]
    only_set: frozenset[str] = frozenset()

    def render(self, entity: object) -> Mapping[str, Any]:
        """Return the JSON object of `entity`."""
        found = ((name, getattr(entity, source)) for name, source in self.members)
        return {
            name: int(value) if isinstance(value, bool) else value
            for name, value in found
            if value or name not in self.only_set
        }
