"""The type of operations, and the description of their inputs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cached_property
from inspect import getdoc
from typing import Any, TypeVar, get_type_hints

from app.domain.errors import DomainError
from app.domain.policy import Access
from app.domain.rate_limits import client_network
from app.domain.request_client import REQUEST_CLIENT, RequestClient
from app.operations.framework.context import Caller, Deprecation, OperationContext
from app.operations.framework.services import Services

T = TypeVar("T")


class Unset(Enum):
    """The type of UNSET: a member that was not sent, where null would mean something else."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True, eq=False)
class Param:
    """The documentation of one member of an input, in its `Annotated` type.

    `shown` is the documented type, if the function itself takes a plainer one.
    """

    description: str
    example: Any = None
    shown: Any = None


def unwrap_single(outcomes: Sequence[T | DomainError]) -> T:
    """Return the only outcome, or raise it if it is an error."""
    (outcome,) = outcomes
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


class Group(StrEnum):
    """The users of an operation."""

    ANYONE = "anyone"
    CHAT_USER = "chat user"
    PANEL_ADMIN = "panel admin"
    PROXY = "proxy"


GROUPS = {
    Group.ANYONE: "Operations without a credential.",
    Group.CHAT_USER: "Operations of users on their own account.",
    Group.PANEL_ADMIN: "Operations of admins on all accounts, servers and guilds.",
    Group.PROXY: "Operations for proxies in front of other services.",
}


class EmbeddedRegistry(StrEnum):
    """The parts of the embedded registry, each in use unless an upstream service replaces it."""

    GUILDS = "guilds"
    SERVERS = "servers"

    def refusal(self, services: Services) -> str | None:
        """Return the reason why this part is not in use, or None."""
        if self is EmbeddedRegistry.GUILDS:
            return None if services.chat is None else "Guilds are managed by the chat service."
        return None if services.panel is None else "Servers are managed by the panel."


async def _authenticate(context: OperationContext, _command: None) -> None:
    if context.access is not Access.ANYONE:
        await context.actor()


@dataclass(frozen=True)
class Operation:
    """One operation: its name, function, permissions and errors.

    `errors` are those of the function itself; those of `access` and of malformed input follow
    without it. `changes`: it may change more than times of use, or the name of the member without
    which it only reads. `counts`: a change counts for the limit of the acting account; not so
    operations without an entry in the audit log, those that only end credentials, and those that
    take the password, which has a limit of its own. `hashes`: it computes password hashes, so a
    batch may hold few of it. `takes_key`: it takes an Idempotency-Key. `cacheable`: its result
    depends only on the store, the credential, the address and the input. `run_streamed`: the same,
    for a large result. `run_many`: the same for several inputs of one caller, if it only reads; it
    returns the result or error of each in order, and raises internal errors. `registry`: the part
    of the embedded registry that it needs; without it the operation is refused. `deprecation`: both
    APIs and both documents mark it.
    """

    name: str
    run: Callable[[OperationContext, Any], Awaitable[Any]]
    access: Access
    group: Group
    errors: tuple[type[DomainError], ...] = ()
    changes: bool | str = True
    counts: bool = True
    hashes: bool = False
    takes_key: bool = False
    cacheable: bool = False
    run_streamed: Callable[[OperationContext, Any], AsyncIterator[Any]] | None = None
    run_many: Callable[[OperationContext, Sequence[Any]], Awaitable[Sequence[Any]]] | None = None
    registry: EmbeddedRegistry | None = None
    deprecation: Deprecation | None = None

    @cached_property
    def input(self) -> type:
        """The input dataclass; its order of members is that of positional parameters."""
        hints = get_type_hints(self.run)
        hints.pop("return", None)
        hints.pop("context", None)
        (input_type,) = hints.values()
        assert isinstance(input_type, type)
        return input_type

    @cached_property
    def result(self) -> Any:
        """The return type of the function."""
        return get_type_hints(self.run)["return"]

    @property
    def summary(self) -> str:
        """The first line of the docstring, without its full stop."""
        return (getdoc(self.run) or "").partition("\n")[0].removesuffix(".")

    @property
    def description(self) -> str:
        """The docstring below its first line, and its deprecation."""
        text = (getdoc(self.run) or "").partition("\n")[2].strip()
        return text if self.deprecation is None else f"{text}\n\n{self.deprecation}".strip()

    async def perform(self, services: Services, caller: Caller, command: Any) -> Any:
        """Run the operation for `caller`. Raises the catalogue's errors."""
        context = self.context(services, caller, command)
        result = await self.run(context, command)
        # A commit does not change the response of an upstream service.
        if self.cacheable and not context.has_called_upstream:
            caller.on_cacheable(context.expires_at)
        return result

    async def perform_many(
        self, services: Services, caller: Caller, commands: Sequence[Any]
    ) -> Sequence[Any | DomainError]:
        """Run the operation for each input, in order; return each result or error."""
        if self.run_many is not None:
            return await self.run_many(self.context(services, caller, commands[0]), commands)
        return [await self._outcome(services, caller, command) for command in commands]

    async def _outcome(self, services: Services, caller: Caller, command: Any) -> Any | DomainError:
        try:
            return await self.perform(services, caller, command)
        except DomainError as error:
            return error

    @cached_property
    def authentication(self) -> "Operation":
        """The operation for a request that could not be read: it only authenticates the caller.

        Authentication comes before validation, so that a client without a valid credential learns
        that first; permissions are checked with the input.
        """
        access = Access.ANYONE if self.access is Access.ANYONE else Access.HOLDER
        return Operation(self.name, _authenticate, access, self.group, changes=False)

    def stream(self, services: Services, caller: Caller, command: Any) -> AsyncIterator[Any]:
        """Run the operation for `caller`; the first piece may raise the catalogue's errors."""
        assert self.run_streamed is not None
        return self.run_streamed(self.context(services, caller, command), command)

    def context(self, services: Services, caller: Caller, command: Any) -> OperationContext:
        """Return the context of a call by `caller`."""
        if self.deprecation is not None:
            caller.on_deprecated(self.deprecation)
        changes = self.changes
        if isinstance(changes, str):
            changes = getattr(command, changes) is not UNSET
        refusal = None if self.registry is None else self.registry.refusal(services)
        if changes:
            # Every operation that computes a password hash changes something.
            network = client_network(caller.origin.address)
            REQUEST_CLIENT.set(RequestClient(network, caller.is_disconnected))
        return OperationContext(
            services,
            self.name,
            self.access,
            caller,
            changes=changes,
            counts=self.counts,
            refusal=refusal,
        )
