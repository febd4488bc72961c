"""Profiles: the part of an account that other users see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from typing_extensions import TypeAliasType

from app.domain.errors import FieldError, InvalidInput
from app.domain.rate_limits import CHECKS
from app.domain.users import AccountRef, user_not_found
from app.operations.formats import Keywords, UserRef
from app.operations.framework.context import OperationContext
from app.operations.framework.operation import Param
from app.operations.views.accounts import Profile, Profiles, profile

PROFILES_MAX = 100
UserRefs = TypeAliasType("UserRefs", Annotated[list[UserRef], Keywords(maxItems=PROFILES_MAX)])


@dataclass(frozen=True, slots=True)
class GetProfile:
    """The user whose profile is returned."""

    user: Annotated[UserRef, Param("A user, by snowflake, uuid or username.", "71395574100676609")]


async def get_profile(context: OperationContext, command: GetProfile) -> Profile:
    """Gets the profile of a user.

    The holder of any valid credential may. A disabled account keeps its profile, since what the
    user wrote remains. To look up a username counts as an existence check.
    """
    profiles = await _find_profiles(context, [command.user])
    if not profiles:
        raise user_not_found(command.user, "Name the user by snowflake, uuid or username.")
    return profiles[0]


@dataclass(frozen=True, slots=True)
class GetProfiles:
    """The users whose profiles are returned."""

    users: Annotated[
        UserRefs,
        Param(
            f"At most {PROFILES_MAX} users, each by snowflake, uuid or username.",
            ["71395574100676609"],
        ),
    ]


async def get_profiles(context: OperationContext, command: GetProfiles) -> Profiles:
    """Gets the profiles of several users, without those that do not exist.

    The holder of any valid credential may. The profiles are in the order of the request, each
    once. To look up a username counts as an existence check.
    """
    return await _find_profiles(context, command.users)


async def _find_profiles(context: OperationContext, users: Sequence[str]) -> Profiles:
    if len(users) > PROFILES_MAX:
        await context.actor()
        reason = f"must have at most {PROFILES_MAX} items"
        raise InvalidInput.for_fields(FieldError("users", reason))
    refs = list(dict.fromkeys(filter(None, map(AccountRef.parse_any, users))))
    found = await context.read(lambda tx, _: tx.users.find_many(refs))
    names = sum(ref.username is not None for ref in refs)
    if names:
        # Only now, so that calls without a valid credential are not counted.
        _, refusal = await context.limits.count_each(CHECKS, names)
        if refusal is not None:
            raise refusal
    by_id = {user.id: user for user in (found[ref] for ref in refs if ref in found)}
    return [profile(user) for user in by_id.values()]
