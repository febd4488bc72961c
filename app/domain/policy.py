"""Who may do what: pure functions of the one who acts and of what he wants. All of them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from app.domain.audit import Ref, RefKind
from app.domain.bounds import UNBOUNDED, Bounds
from app.domain.credentials import AccessKey, Session
from app.domain.errors import Forbidden
from app.domain.users import OPERATOR, User


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts, and with what: a session (by token), an access key, or the operator himself."""

    user: User
    session: Session | None = None
    key: AccessKey | None = None

    @property
    def session_id(self) -> str | None:
        """The session that acts, where one does."""
        return None if self.session is None else self.session.id

    @property
    def acts_with(self) -> str:
        """The id of the session or key that acts; '' for the operator."""
        return "" if self.credential is None else self.credential.id

    @property
    def credential(self) -> Ref | None:
        """The session or key that acts, by its public id; None for the operator."""
        if self.session is not None:
            return Ref(RefKind.SESSION, self.session.id)
        return None if self.key is None else Ref(RefKind.KEY, self.key.id)

    @property
    def trail_name(self) -> str:
        """How the audit trail names who acts: by the account's uuid, or as the operator."""
        return self.user.username if self.user is OPERATOR else self.user.uuid

    @property
    def bounds(self) -> Bounds:
        """What the key that acts is limited to; nothing else has limits of its own."""
        return UNBOUNDED if self.key is None else self.key.bounds


THE_OPERATOR = Principal(OPERATOR)


def is_holder(actor: Principal) -> bool:
    """Anybody with a valid credential, acting on his own account."""
    return actor.user is not OPERATOR


def holds_token(actor: Principal) -> bool:
    """Whoever acts within a session; an access key has none to refresh or to end."""
    return actor.session is not None


def is_admin(actor: Principal) -> bool:
    """Active admins, and the operator; with a key, where its scope reaches so far."""
    return actor.user.is_active_admin and actor.bounds.scope.administers


READ_ONLY = "This changes something; a key with the scope 'read' changes nothing."


class Access(Enum):
    """How far an operation reaches; each but ANYONE names the function that decides."""

    ANYONE = (None, "")
    HOLDER = (is_holder, "This takes an account of one's own.")
    TOKEN = (holds_token, "This takes a token; an access key has no session.")
    ADMIN = (is_admin, "This takes an admin, and of his keys one whose scope is not 'self'.")

    def __init__(self, allows: Callable[[Principal], bool] | None, refusal: str) -> None:
        self.allows = allows
        self.refusal = refusal

    def require(self, actor: Principal, *, changes: bool) -> None:
        """Raise Forbidden where `actor` may not, or may only read and this `changes` something."""
        if self.allows is None:
            return
        if not self.allows(actor):
            raise Forbidden(self.refusal)
        if changes and not actor.bounds.scope.changes:
            raise Forbidden(READ_ONLY)


def may_take_held_names(actor: Principal) -> bool:
    """Admins take and give out names that are held back from others."""
    return is_admin(actor)
