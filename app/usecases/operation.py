"""What an operation is, and how its input is described."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cached_property
from inspect import getdoc
from typing import Any, TypeVar, get_type_hints

from app.domain.errors import DomainError
from app.domain.policy import Access
from app.usecases.call import Call, Caller
from app.usecases.services import Services

T = TypeVar("T")


class Unset(Enum):
    """The type of UNSET: a member that was not sent, where null would mean something else."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Param:
    """What the documents say of one member of an input; stands in its `Annotated` type.

    `shown` is the type they show where the function itself reads a plainer one.
    """

    description: str
    example: Any = None
    shown: type | None = None
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None


def one_of(outcomes: Sequence[T | DomainError]) -> T:
    """What a single call returns, of which there is the outcome. Raises it if it is an error."""
    (outcome,) = outcomes
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


class Group(StrEnum):
    """Whom an operation is for."""

    ANYONE = "anyone"
    CHAT_USER = "chat user"
    PANEL_ADMIN = "panel admin"
    PROXY = "proxy"


class Registry(StrEnum):
    """What the embedded registry keeps, as long as no other service does."""

    GUILDS = "guilds"
    SERVERS = "servers"

    def refusal(self, services: Services) -> str | None:
        """Why nothing can be done with it here; None where it is in use."""
        if self is Registry.GUILDS:
            return None if services.chat is None else "The chat service keeps the guilds; go there."
        return None if services.panel is None else "The panel keeps the servers; go there."


@dataclass(frozen=True)
class Operation:
    """One thing that can be done: its name, function, reach and possible errors.

    `errors` lists what the function itself refuses with; what follows from `access` or from the
    form of the request is known without it. `changes`: whether it may change anything but notes of
    use, or the name of the member without which it only reads. `hashes`: it computes password
    hashes, so a batch may hold few of it. `lasting`: what it answers follows from the store, the
    credential, the address and its input alone, so that it may be answered again while none of them
    has changed. `lists_accounts`: a new account changes it, too. `run_in_pieces`: the same for an
    answer too large for one piece. `run_each`: for what only reads, the same of several inputs that
    one caller sends one after the other; for each in its place what `run` would return or raise,
    but what is a fault of ours is raised. `registry`: which part of the embedded registry it is
    about; it is refused where that is not in use.
    """

    name: str
    run: Callable[[Call, Any], Awaitable[Any]]
    access: Access
    group: Group
    errors: tuple[type[DomainError], ...] = ()
    changes: bool | str = True
    hashes: bool = False
    lasting: bool = False
    lists_accounts: bool = False
    run_in_pieces: Callable[[Call, Any], AsyncIterator[Any]] | None = None
    run_each: Callable[[Call, Sequence[Any]], Awaitable[Sequence[Any]]] | None = None
    registry: Registry | None = None

    @cached_property
    def input(self) -> type:
        """The input dataclass; the order of its members is that of positional parameters."""
        hints = get_type_hints(self.run)
        hints.pop("return", None)
        hints.pop("call", None)
        (input_type,) = hints.values()
        assert isinstance(input_type, type)
        return input_type

    @cached_property
    def result(self) -> Any:
        """The type of what the function returns."""
        return get_type_hints(self.run)["return"]

    @property
    def summary(self) -> str:
        """The first line of the docstring, without its full stop."""
        return (getdoc(self.run) or "").partition("\n")[0].removesuffix(".")

    @property
    def description(self) -> str:
        """The docstring below its first line."""
        return (getdoc(self.run) or "").partition("\n")[2].strip()

    async def perform(self, services: Services, caller: Caller, command: Any) -> Any:
        """Do it for `caller`. Raises the catalogue's errors."""
        return await self.run(self.call(services, caller, command), command)

    def stream(self, services: Services, caller: Caller, command: Any) -> AsyncIterator[Any]:
        """Do it for `caller` piece by piece. Raises the catalogue's errors at the first."""
        assert self.run_in_pieces is not None
        return self.run_in_pieces(self.call(services, caller, command), command)

    def call(self, services: Services, caller: Caller, command: Any) -> Call:
        """What it is done with for `caller`."""
        changes = self.changes
        if isinstance(changes, str):
            changes = getattr(command, changes) is not UNSET
        refusal = None if self.registry is None else self.registry.refusal(services)
        return Call(services, self.name, self.access, caller, changes=changes, refusal=refusal)
