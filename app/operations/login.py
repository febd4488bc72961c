"""Login, logout and password changes."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from app.domain.credentials import SESSIONS_MAX, Session, TokenClaims
from app.domain.errors import AccountDisabled, DomainError, InvalidCredentials, WrongPassword
from app.domain.names import parse_stored_username
from app.domain.passwords import normalize_password
from app.domain.policy import Principal
from app.domain.ports.store import Transaction
from app.domain.rate_limits import PASSWORD_USES, LoginAttempts, unknown_name_subject
from app.domain.users import AccountRef, User
from app.operations.accounts import NoInput, PasswordParam, hash_new_password, save_changes
from app.operations.formats import Password, UsernameText
from app.operations.framework import audit_log
from app.operations.framework.audit_log import WriteResult
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import Param
from app.operations.framework.services import Services
from app.operations.login_attempts import (
    NetworkAttempt,
    attempt_slot,
    count_attempt,
    discard_attempt,
    network_attempt,
    record_lock,
    record_success,
    verify_attempt,
)
from app.operations.login_queue import AttemptSlot, CountResult
from app.operations.views.credentials import Login, RefreshedLogin
from app.operations.views.results import IssuedLogin


@dataclass(frozen=True, slots=True)
class Authenticate:
    """A username and password."""

    username: Annotated[UsernameText, Param("The username, in any case.", "user")]
    password: Annotated[Password, Param("The password.", "********")]


async def authenticate(context: OperationContext, command: Authenticate) -> IssuedLogin[Login]:
    """Authenticates a user, providing an authorization token for use in the REST API and gateway.

    Anyone may. An unknown name and a wrong password get the same response after the same time, and
    are locked in the same way after too many attempts; a disabled account is reported only after
    the right password.
    """
    name = parse_stored_username(command.username) or ""
    session: Session | None = None
    async with network_attempt(context) as counted:
        while session is None:
            async with attempt_slot(context, name or command.username) as slot:
                session = await _open_session(context, command, name, slot, counted)
    return _issue(context.services, session, session.created_at)


async def _open_session(
    context: OperationContext,
    command: Authenticate,
    name: str,
    slot: AttemptSlot,
    counted: NetworkAttempt,
) -> Session | None:
    """Verify the password and log in; None if the stored hash changed meanwhile, so that the
    caller retries."""
    services = context.services
    counted.is_refunded = False

    def begin(tx: Transaction) -> WriteResult[tuple[User | None, CountResult]]:
        user = tx.users.get_by_username(name)
        subject = unknown_name_subject(name or command.username) if user is None else user.id
        if user is not None:
            context.note_account(user)
        return WriteResult((user, count_attempt(tx, context, subject)))

    user, attempt = await slot.count(lambda: context.write_for_anyone(begin, is_durable=False))
    password = normalize_password(command.password)
    check = await verify_attempt(
        context, attempt, password, None if user is None else user.password_hash
    )
    if user is None:
        raise InvalidCredentials
    if not check.is_correct:
        raise await _recorded(context, InvalidCredentials(), user, attempt)
    counted.is_refunded = True
    await _limit_uses(context, user, attempt)
    session = Session.create(
        session_id=services.ids.new_uuid(),
        user_id=user.id,
        now=services.clock.now(),
        ttl=services.rules.token_ttl,
        origin=context.origin,
    )

    def admit(tx: Transaction) -> WriteResult[Session | AccountDisabled | None]:
        current = tx.users.find(AccountRef(id=user.id))
        if current is None or current.password_hash != user.password_hash:
            return WriteResult(None)
        record_success(tx, context, attempt)
        if current.disabled:
            return WriteResult(AccountDisabled())
        if check.new_hash is not None:
            tx.users.save(replace(current, password_hash=check.new_hash))
        tx.sessions.end_expired(user.id, session.created_at)
        tx.sessions.add(session)
        changes = dict(audit_log.diff_entities(None, session))
        if ended := tx.sessions.end_oldest(user.id, max_count=SESSIONS_MAX, keep=session.id):
            changes["oldest_session"] = (ended[0], None)
        by = Principal(current, session=session)
        return WriteResult(session, audit_log.account_ref(current), changes, by)

    admitted = await context.write_for_anyone(admit)
    if isinstance(admitted, AccountDisabled):
        context.record_refusal(admitted, target=audit_log.account_ref(user))
        raise admitted
    return admitted


async def _limit_uses(context: OperationContext, user: User, attempt: LoginAttempts | None) -> None:
    """Count a use of the right password. Raises RateLimited, without counting a failure."""
    if refusal := await context.limits.over_account(PASSWORD_USES, user):
        await discard_attempt(context, attempt)
        raise refusal


def _succeeded(
    tx: Transaction, context: OperationContext, attempt: LoginAttempts | None
) -> WriteResult[None]:
    record_success(tx, context, attempt)
    return WriteResult(None)


async def _recorded(
    context: OperationContext, refusal: DomainError, user: User, attempt: LoginAttempts | None
) -> DomainError:
    """Record the refusal with the account, which would otherwise leave no entry, and return it."""
    context.record_refusal(refusal, target=audit_log.account_ref(user))
    await record_lock(context, user, attempt)
    return refusal


def _issue(services: Services, session: Session, now: datetime) -> IssuedLogin[Login]:
    # A token has whole seconds.
    issued_at = now.replace(microsecond=0)
    expires_at = min(now + services.rules.token_ttl, session.expires_at).replace(microsecond=0)
    token = services.tokens.issue(
        TokenClaims(
            user_id=session.user_id,
            session_id=session.id,
            issued_at=issued_at,
            expires_at=expires_at,
            token_id=services.ids.new_uuid(),
        )
    )
    view: Login = {"user_id": str(session.user_id), "token": token}
    return IssuedLogin(view, expires_at, int((expires_at - issued_at).total_seconds()))


async def refresh(context: OperationContext, command: NoInput) -> RefreshedLogin:
    """Gives a new token for the same session.

    The holder of a token may. The new token is valid until `expires_at`. The old token stays valid
    until it expires; the session ends after at most 90 days.
    """
    services = context.services
    now = services.clock.now()

    def extend(tx: Transaction, actor: Principal) -> WriteResult[Session]:
        assert actor.session is not None
        session = actor.session.refreshed(now, services.rules.token_ttl)
        tx.sessions.save_expiry(session)
        return WriteResult(session, audit_log.account_ref(actor.user), {"token": None})

    issued = _issue(services, await context.write(extend), now)
    return {**issued.view, "expires_at": issued.expires_at}


async def logout(context: OperationContext, command: NoInput) -> bool:
    """Ends the session of the token.

    The holder of a token may. All tokens of the session are invalid immediately.
    """

    def end(tx: Transaction, actor: Principal) -> WriteResult[None]:
        tx.sessions.end_for_user(actor.user.id, only=actor.session_id)
        return WriteResult(
            None, audit_log.account_ref(actor.user), {"session": (actor.session_id, None)}
        )

    await context.write(end)
    return True


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """The current and the new password."""

    current: Annotated[Password, Param("The current password.", "********")]
    password: PasswordParam
    revoke_keys: Annotated[bool, Param("True revokes all access keys, too.", False)] = False


async def change_password(context: OperationContext, command: ChangePassword) -> bool:
    """Changes the authenticated user's password.

    The holder of any valid credential may. Ends all sessions but the current one, and with
    `revoke_keys` all access keys. A wrong `current` is `wrong-password`: it ends nothing and counts
    like a failed login.
    """
    services = context.services

    def begin(tx: Transaction, actor: Principal) -> WriteResult[tuple[User, CountResult]]:
        return WriteResult((actor.user, count_attempt(tx, context, actor.user.id)))

    actor = await context.actor()
    async with attempt_slot(context, actor.user.username) as slot:
        user, attempt = await slot.count(lambda: context.write(begin))
        current = normalize_password(command.current)
        check = await verify_attempt(context, attempt, current, user.password_hash)
        if not check.is_correct:
            raise await _recorded(context, WrongPassword(), user, attempt)
        await _limit_uses(context, user, attempt)
        await context.write_for_anyone(lambda tx: _succeeded(tx, context, attempt))
    hashed = await hash_new_password(services, command.password, user.username, user.email)

    def change(tx: Transaction, actor: Principal) -> WriteResult[User]:
        if actor.user.password_hash != user.password_hash:
            raise WrongPassword
        done = save_changes(tx, actor.user, replace(actor.user, password_hash=hashed), actor)
        if command.revoke_keys and tx.keys.revoke_for_user(actor.user.id):
            done = replace(done, changes={**done.changes, "keys": None})
        return done

    await context.write(change)
    return True
