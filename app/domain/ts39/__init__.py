"""Unicode Technical Standard #39, Unicode Security Mechanisms, for usernames.

It tells accounts apart: confusable names (section 4) and mixed scripts (section 5). PRECIS decides
which characters a name may contain.
"""

from app.domain.ts39.confusables import NONSPACING, remove_repeated_marks, skeleton
from app.domain.ts39.restriction import is_highly_restrictive

__all__ = ["NONSPACING", "is_highly_restrictive", "remove_repeated_marks", "skeleton"]
