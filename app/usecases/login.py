"""Logging in and out: a password opens a session, a session gives tokens."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from app.domain.credentials import Session, TokenClaims
from app.domain.errors import AccountDisabled, InvalidCredentials
from app.domain.names import Username
from app.domain.passwords import presented_password
from app.domain.policy import Principal
from app.domain.ports import Transaction
from app.domain.throttling import LOGINS, Attempts, subject_of_unknown
from app.domain.users import AccountRef, User
from app.usecases import trail
from app.usecases.accounts import Nothing, PasswordParam, hash_of_chosen, settle
from app.usecases.attempts import Counted, count_attempt, judge, succeed, unless_locked
from app.usecases.call import Call
from app.usecases.operation import Param
from app.usecases.services import Services
from app.usecases.trail import Done
from app.usecases.views import Issued, Login


@dataclass(frozen=True, slots=True)
class Authenticate:
    """A name and the password said to be its."""

    username: Annotated[str, Param("The username, in any case.", "user")]
    password: Annotated[str, Param("The password.", "********")]


async def authenticate(call: Call, command: Authenticate) -> Issued[Login]:
    """Authenticates a user, providing an authorization token for use in the REST API and gateway.

    Anyone may. An unknown name and a wrong password get the same answer after the same time, and
    too many of either are locked out in the same way; that an account is disabled is said only
    after the right password.
    """
    await call.pace(LOGINS)
    session: Session | None = None
    while session is None:
        session = await _open_session(call, command)
    return _issue(call.services, session, session.created_at)


async def _open_session(call: Call, command: Authenticate) -> Session | None:
    """Verify and log in; None where the stored hash changed in between, so that it is redone."""
    services = call.services
    username = Username.find(command.username)
    name = "" if username is None else username.value

    def begin(tx: Transaction) -> Done[tuple[User | None, Counted]]:
        user = tx.users.by_username(name)
        subject = subject_of_unknown(name or command.username) if user is None else user.id
        return Done((user, count_attempt(tx, call, subject)))

    user, counted = await call.write_for_anyone(begin)
    attempt = unless_locked(counted)
    password = presented_password(command.password)
    verdict = await judge(call, attempt, password, None if user is None else user.password_hash)
    if user is None:
        raise InvalidCredentials
    if not verdict.right:
        raise _wrong_password(call, user)
    session = Session.open(
        session_id=services.ids.uuid(),
        user_id=user.id,
        now=services.clock.now(),
        ttl=services.rules.token_ttl,
        origin=call.origin,
    )

    def admit(tx: Transaction) -> Done[Session | AccountDisabled | None]:
        current = tx.users.find(AccountRef(id=user.id))
        if current is None or current.password_hash != user.password_hash:
            return Done(None)
        succeed(tx, call, attempt)
        if current.disabled:
            return Done(AccountDisabled())
        if verdict.rehashed is not None:
            tx.users.save(replace(current, password_hash=verdict.rehashed))
        tx.sessions.end_expired(user.id, session.created_at)
        tx.sessions.add(session)
        by = Principal(current, session=session)
        return Done(session, trail.account(current), {"session": (None, session.id)}, by)

    admitted = await call.write_for_anyone(admit)
    if isinstance(admitted, AccountDisabled):
        call.note_refusal(admitted, target=trail.account(user))
        raise admitted
    return admitted


def _succeeded(tx: Transaction, call: Call, attempt: Attempts | None) -> Done[None]:
    succeed(tx, call, attempt)
    return Done(None)


def _wrong_password(call: Call, user: User) -> InvalidCredentials:
    """The refusal, put on record: it changes nothing, but whose it was is worth knowing."""
    refusal = InvalidCredentials()
    call.note_refusal(refusal, target=trail.account(user))
    return refusal


def _issue(services: Services, session: Session, now: datetime) -> Issued[Login]:
    expires_at = min(now + services.rules.token_ttl, session.expires_at)
    token = services.tokens.issue(
        TokenClaims(
            user_id=session.user_id,
            session_id=session.id,
            issued_at=now,
            expires_at=expires_at,
            token_id=services.ids.uuid(),
        )
    )
    view: Login = {"user_id": str(session.user_id), "token": token}
    return Issued(view, expires_in=int((expires_at - now).total_seconds()))


async def refresh(call: Call, command: Nothing) -> Issued[Login]:
    """Gives a new token for the same session.

    The holder of a token may. The old token stays valid until it expires; the session ends after
    at most 90 days.
    """
    services = call.services
    now = services.clock.now()

    def extend(tx: Transaction, actor: Principal) -> Done[Session]:
        assert actor.session is not None
        session = actor.session.refreshed(now, services.rules.token_ttl)
        tx.sessions.refresh(session)
        return Done(session, trail.account(actor.user), {"token": None})

    return _issue(services, await call.write(extend), now)


async def logout(call: Call, command: Nothing) -> bool:
    """Ends the session of the token that asks.

    The holder of a token may. Every token of the session is dead at once.
    """

    def end(tx: Transaction, actor: Principal) -> Done[None]:
        tx.sessions.end(actor.user.id, only=actor.session_id)
        return Done(None, trail.account(actor.user), {"session": (actor.session_id, None)})

    await call.write(end)
    return True


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """The password in force and the one to come."""

    current: Annotated[str, Param("The password in force.", "********")]
    new: PasswordParam
    revoke_keys: Annotated[bool, Param("Whether to revoke all access keys, too.", False)] = False


async def change_password(call: Call, command: ChangePassword) -> bool:
    """Changes the authenticated user's password.

    The holder of any valid credential may. Ends all sessions but the one that asks, and with
    `revoke_keys` all access keys. A wrong `current` ends nothing, and counts as one at login does.
    """
    services = call.services

    def begin(tx: Transaction, actor: Principal) -> Done[tuple[User, Counted]]:
        return Done((actor.user, count_attempt(tx, call, actor.user.id)))

    user, counted = await call.write(begin)
    attempt = unless_locked(counted)
    verdict = await judge(call, attempt, presented_password(command.current), user.password_hash)
    if not verdict.right:
        raise _wrong_password(call, user)
    await call.write_for_anyone(lambda tx: _succeeded(tx, call, attempt))
    hashed = await hash_of_chosen(services, command.new, user.username, user.email)

    def change(tx: Transaction, actor: Principal) -> Done[User]:
        if actor.user.password_hash != user.password_hash:
            raise InvalidCredentials
        done = settle(tx, actor.user, replace(actor.user, password_hash=hashed), actor)
        if command.revoke_keys and tx.keys.revoke(actor.user.id):
            done = replace(done, changes={**done.changes, "keys": None})
        return done

    await call.write(change)
    return True
