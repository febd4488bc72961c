"""Unicode Technical Standard #39, Unicode Security Mechanisms, for usernames.

Only what tells one account from another: whether two names look alike (section 4) and whether
one name mixes scripts (section 5). Which characters a name may have at all is left to PRECIS.
"""

from app.domain.ts39.confusables import skeleton
from app.domain.ts39.restriction import is_highly_restrictive

__all__ = ["is_highly_restrictive", "skeleton"]
