"""Permissions: every rule about who may do what, as pure functions."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from app.domain.audit import Ref, RefKind
from app.domain.credentials import AccessKey, Session
from app.domain.errors import Forbidden
from app.domain.key_limits import UNLIMITED, KeyLimits
from app.domain.users import OPERATOR, User


@dataclass(frozen=True, slots=True)
class Principal:
    """The acting user, with the session (of a token) or access key; the operator has neither."""

    user: User
    session: Session | None = None
    key: AccessKey | None = None

    @property
    def session_id(self) -> str | None:
        """The id of the session, if the caller has one."""
        return None if self.session is None else self.session.id

    @property
    def credential_id(self) -> str:
        """The id of the session or key; '' for the operator."""
        return "" if self.credential is None else self.credential.id

    @property
    def credential(self) -> Ref | None:
        """The session or key by its public id; None for the operator."""
        if self.session is not None:
            return Ref(RefKind.SESSION, self.session.id)
        return None if self.key is None else Ref(RefKind.KEY, self.key.id)

    @property
    def audit_name(self) -> str:
        """The actor in the audit trail: the account's uuid, or the operator's name."""
        return self.user.username if self.user is OPERATOR else self.user.uuid

    @property
    def limits(self) -> KeyLimits:
        """The limits of the access key; other credentials have none."""
        return UNLIMITED if self.key is None else self.key.limits


OPERATOR_PRINCIPAL = Principal(OPERATOR)


def is_holder(actor: Principal) -> bool:
    """Return True for every user with a valid credential, and False for the operator."""
    return actor.user is not OPERATOR


def has_token(actor: Principal) -> bool:
    """Return True for a session; an access key has none to refresh or to end."""
    return actor.session is not None


def is_admin(actor: Principal) -> bool:
    """Return True for active admins and the operator, unless the key's scope excludes it."""
    return actor.user.is_active_admin and actor.limits.scope.can_administer


READ_ONLY = "Access keys with the scope 'read' cannot change anything."


class Access(Enum):
    """The permission that an operation requires; each but ANYONE has a predicate."""

    ANYONE = (None, "")
    HOLDER = (is_holder, "A user account is required; the operator has none.")
    TOKEN = (
        has_token,
        "A token is required, since access keys have no session. Sign in to get one.",
    )
    ADMIN = (
        is_admin,
        "Admin privileges are required; access keys with the scope 'self' do not carry them.",
    )

    def __init__(self, allows: Callable[[Principal], bool] | None, refusal: str) -> None:
        self.allows = allows
        self.refusal = refusal

    def require(self, actor: Principal, *, changes: bool) -> None:
        """Raise Forbidden if `actor` lacks the permission, or may only read and this `changes`
        something."""
        if self.allows is None:
            return
        if not self.allows(actor):
            raise Forbidden(self.refusal)
        if changes and not actor.limits.scope.can_write:
            raise Forbidden(READ_ONLY)


def can_list_members(actor: Principal, *, belongs: Callable[[], bool]) -> bool:
    """Return True for admins, and for those who belong to the guild."""
    return is_admin(actor) or belongs()


def can_take_held_names(actor: Principal) -> bool:
    """Return True for admins, who can use and assign names that are held back."""
    return is_admin(actor)
