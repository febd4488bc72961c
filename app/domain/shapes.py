"""Objects of JSON that are written where their rows are found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """The members of an object in their order, each with the attribute that it shows.

    A text is shown as a string or null, a flag as 0 or 1. A flag of `only_set` is shown as 1 or not
    at all; the first member is none of those.
    """

    members: tuple[tuple[str, str], ...]
    only_set: frozenset[str] = frozenset()

    def of(self, entity: object) -> Mapping[str, Any]:
        """The object that shows `entity`."""
        found = ((name, getattr(entity, source)) for name, source in self.members)
        return {
            name: int(value) if isinstance(value, bool) else value
            for name, value in found
            if value or name not in self.only_set
        }
