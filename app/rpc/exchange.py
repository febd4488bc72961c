"""The calls of one request: a call or a batch, performed in order, within limits."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from time import perf_counter
from typing import Any, TypeGuard

import structlog
from starlette.types import Scope

from app.domain.audit import Door
from app.domain.errors import (
    CredentialFault,
    DomainError,
    Internal,
    MisplacedCredential,
    Overloaded,
)
from app.domain.policy import Access
from app.http import json
from app.http.idempotency import idempotency_key, is_replay
from app.http.params import input_schema, json_of
from app.http.request import (
    OK,
    Context,
    caller_of,
    header_lines,
)
from app.operations.accounts import NoInput
from app.operations.framework.context import Caller
from app.operations.framework.idempotency import hash_batch
from app.operations.framework.operation import Operation
from app.operations.framework.services import Services
from app.rpc.call_log import NO_METHOD, CallLog, note_call
from app.rpc.envelope import (
    DISCOVER,
    PROTOCOL_ERRORS,
    Id,
    Request,
    RpcError,
    batch,
    duplicate_member,
    failure,
    invalid_request,
    method_not_found,
    misplaced_credential,
    misspelling,
    outside_params,
    parse_error,
    read_request,
    success,
)
from app.rpc.error_codes import ErrorDialect
from app.rpc.methods import METHODS, Method, name_members, nearest_method, read_params

BATCH_MAX = 100
BATCH_HASHES_MAX = 10
# Bytes of all replies to a batch; ERROR_MAX is reserved for each call.
REPLIES_MAX = 1024 * 1024
ERROR_MAX = 512
# How long a batch may run before other requests get their turn.
TURN_SECONDS = 0.001
_TAKING_KEY = frozenset(name for name, method in METHODS.items() if method.operation.takes_key)
HASHING = frozenset(name for name, method in METHODS.items() if method.operation.hashes)
_READ_TOGETHER = frozenset(name for name, method in METHODS.items() if method.operation.run_many)
_ONLY_READ = {DISCOVER, *(name for name, m in METHODS.items() if m.operation.changes is False)}
_NO_ROOM = "The replies to this batch are too large; send the remaining calls in another one."
# Calls by method and outcome: OK, or the slug of the error.
Counts = dict[tuple[str, str], int]
_NO_PARAMETERS = input_schema(NoInput)
_LOG = structlog.get_logger("gatehouse.rpc")


class RpcExchange:
    """The calls of one HTTP request."""

    def __init__(
        self,
        services: Services,
        document: Callable[[Scope], bytes],
        scope: Scope,
        dialect: ErrorDialect,
        context: Context,
        counts: Counts,
    ) -> None:
        self._services = services
        self._document = document
        self._scope = scope
        self._caller: Caller | None = None
        self._dialect = dialect
        self._context = context
        self._counts = counts
        # Of a batch; the log line of a single call needs no counts.
        self._calls: CallLog | None = None
        # Bytes left for replies; infinite outside of a batch.
        self._room = math.inf
        # Whether a reply repeats that to an earlier request with the same Idempotency-Key.
        self.is_replayed = False

    async def answer(self, body: bytes) -> bytes | None:
        """Return the reply to a call or a batch; None if all calls are notifications."""
        read = _read
        try:
            value = self._context.parsed
            if value is None:
                value = json.parse(body)
        except json.DuplicateMember as error:
            value, read = error.value, _read_unless_duplicated
        except json.TooManyValues as error:
            return self._reject(invalid_request(f"{json.TOO_LARGE}: {error}."))
        except ValueError as error:
            return self._reject(parse_error(json.sentence(body, error)))
        if type(value) is not list:
            call = read(value)
            if _takes_key(call):
                (call,) = self._with_keys([call])
            return await self.reply(call)
        if (refused := _check_batch(value)) is not None:
            return self._reject(refused)
        calls: Sequence[Request | RpcError] = list(map(read, value))
        if any(map(_takes_key, calls)):
            calls = self._with_keys(calls, is_batch=True)
        self._calls = CallLog()
        try:
            return await self._batch(calls)
        finally:
            self._calls.note(self._context)

    def _with_keys(
        self, calls: Sequence[Request | RpcError], *, is_batch: bool = False
    ) -> Sequence[Request | RpcError]:
        """Add the Idempotency-Key of the request, if it has one, to the calls that take it.

        Raises InvalidInput for a malformed key.
        """
        key = idempotency_key(header_lines(self._scope, b"idempotency-key"))
        if key is None:
            return calls
        if is_batch:
            requests = [call for call in calls if isinstance(call, Request)]
            key = replace(key, batch=hash_batch([name_members(*call[:2]) for call in requests]))
        numbers = iter(range(len(calls)))
        return [
            call._replace(idempotency_key=replace(key, number=next(numbers)))
            if _takes_key(call)
            else call
            for call in calls
        ]

    async def _batch(self, calls: Sequence[Request | RpcError]) -> bytes | None:
        """Return the replies to a batch, in the order of its calls and within the limit."""
        replies: list[bytes] = []
        self._room = REPLIES_MAX - ERROR_MAX * len(calls)
        began = perf_counter()
        for _, run in groupby(calls, _group_key):
            # Calls that never wait would block all other requests.
            if perf_counter() - began > TURN_SECONDS:
                await asyncio.sleep(0)
                began = perf_counter()
            replies += await self._replies([*run])
        return batch(replies) if replies else None

    async def reply(self, call: Request | RpcError) -> bytes | None:
        """Return the reply to one call; None for a notification."""
        replies = await self._replies([call])
        return replies[0] if replies else None

    async def _replies(self, run: Sequence[Request | RpcError]) -> list[bytes]:
        """Return the replies to calls that are performed together, except notifications."""
        calls = [call for call in run if isinstance(call, Request)]
        if not calls:
            return [self._reject(call) for call in run if isinstance(call, RpcError)]
        method = calls[0].method
        counted = method if method in METHODS or method == DISCOVER else NO_METHOD
        replies, slugs = [], []
        self._context.account = None
        for call, outcome in zip(calls, await self._bounded_outcomes(method, calls), strict=True):
            if isinstance(outcome, RpcError):
                slug, reply = outcome.slug, self._failure(call.id, outcome)
            else:
                slug, reply = OK, success(call.id, outcome)
            slugs.append(slug)
            if not call.is_notification:
                replies.append(reply)
                self._room -= len(reply)
        for slug in dict.fromkeys(slugs):
            self._count(counted, slug, self._context.account, slugs.count(slug))
        return replies

    async def _bounded_outcomes(
        self, method: str, calls: Sequence[Request]
    ) -> Sequence[bytes | RpcError]:
        """Return the outcomes within the size that is left for the replies of a batch.

        Calls whose replies do not fit are not performed; every change that was made gets its reply.
        """
        if self._room <= 0 and not calls[0].is_notification:
            return [self._overloaded()] * len(calls)
        outcomes = await self._outcomes(method, calls)
        if method not in _ONLY_READ or sum(map(_size, outcomes)) <= self._room:
            return outcomes
        room = self._room
        fitting: list[bytes | RpcError] = []
        for outcome in outcomes:
            room -= _size(outcome)
            fitting.append(outcome if room >= 0 else self._overloaded())
        return fitting

    def _overloaded(self) -> RpcError:
        return self._dialect.of_domain(Overloaded(_NO_ROOM), self._context)

    def _count(self, method: str, outcome: str, account: str | None = None, calls: int = 1) -> None:
        self._counts[method, outcome] += calls
        if self._calls is not None:
            self._calls.add(method, outcome, account, calls)
        else:
            note_call(self._context, method, outcome)

    def _reject(self, error: RpcError) -> bytes:
        """Return the reply to an invalid call."""
        self._count(NO_METHOD, error.slug)
        return self._failure(error.request_id, error)

    def _failure(self, call_id: Id, error: RpcError) -> bytes:
        if error.code in PROTOCOL_ERRORS:
            error = self._dialect.of_protocol(error, self._context)
        return failure(call_id, error)

    async def _outcomes(self, name: str, calls: Sequence[Request]) -> Sequence[bytes | RpcError]:
        """Return the outcomes of calls of one method with one credential."""
        if name == DISCOVER:
            # Building the document takes longer than other requests may wait.
            document = await asyncio.to_thread(self._document, self._scope)
            return [_discover(call, document) for call in calls]
        method = METHODS.get(name)
        if method is None:
            error = method_not_found(name, nearest_method(name))
            return [error for _ in calls]
        inputs = [_input(method, call) for call in calls]
        commands = [it for it in inputs if not isinstance(it, RpcError)]
        if len(commands) < len(inputs):
            authentication = method.operation.authentication
            (refusal,) = await self._perform(authentication, calls[0], [None])
            if isinstance(refusal, RpcError):
                return [refusal] * len(calls)
        done = iter(await self._perform(method.operation, calls[0], commands))
        return [it if isinstance(it, RpcError) else next(done) for it in inputs]

    async def _perform(
        self, operation: Operation, call: Request, commands: Sequence[object]
    ) -> Sequence[bytes | RpcError]:
        """Return the outcomes for inputs of calls with the credential and key of `call`."""
        if not commands:
            return ()
        caller = self._caller = self._caller or caller_of(self._scope, Door.RPC)
        if call.auth is not None:
            caller = replace(caller, credential=call.auth)
        elif caller.credential is None and operation.access is not Access.ANYONE:
            find = partial(_find_misplaced, call, caller.find_misplaced)
            caller = replace(caller, find_misplaced=find)
        if call.idempotency_key is not None:
            caller = replace(caller, idempotency_key=call.idempotency_key)
        outcomes: Sequence[Any | DomainError]
        request_id = self._context.request_id
        try:
            results = await operation.perform_many(self._services, caller, commands)
            if call.idempotency_key is not None and any(map(is_replay, results)):
                self.is_replayed = True
            outcomes = [
                outcome if isinstance(outcome, DomainError) else json_of(outcome)
                for outcome in results
            ]
        except Exception:
            _LOG.exception("fault", request_id=request_id, method=operation.name)
            outcomes = [Internal(request_id)] * len(commands)
        return [
            self._dialect.of_domain(outcome, self._context)
            if isinstance(outcome, DomainError)
            else outcome
            for outcome in outcomes
        ]


def _discover(call: Request, document: bytes) -> bytes | RpcError:
    try:
        read_params(_NO_PARAMETERS, call.params)
    except RpcError as error:
        return error
    return document


def _read(value: Any) -> Request | RpcError:
    try:
        return read_request(value)
    except RpcError as error:
        return error


def _read_unless_duplicated(value: Any) -> Request | RpcError:
    name = json.find_duplicate(value)
    return _read(value) if name is None else duplicate_member(name, value)


def _takes_key(call: Request | RpcError) -> TypeGuard[Request]:
    """Return whether the method of a call takes an Idempotency-Key."""
    return isinstance(call, Request) and call.method in _TAKING_KEY


def _size(outcome: bytes | RpcError) -> int:
    return ERROR_MAX if isinstance(outcome, RpcError) else len(outcome)


def _input(method: Method, call: Request) -> Any:
    try:
        return method.read(call.params)
    except RpcError as error:
        if not call.params:
            hint = misspelling(call.sent, "params") or outside_params(
                call.sent, method.schema.names
            )
            error.data += hint and f".{hint}"
        return error


def _find_misplaced(
    call: Request, elsewhere: Callable[[], MisplacedCredential]
) -> MisplacedCredential:
    """Return where a call without a credential, or its HTTP request, seems to have one."""
    place = misplaced_credential(call)
    return elsewhere() if place is None else MisplacedCredential(CredentialFault.MISPLACED, place)


def _group_key(call: Request | RpcError) -> object:
    """Return an equal key for consecutive read-only calls that are performed together."""
    if isinstance(call, Request) and call.method in _READ_TOGETHER:
        return call.method, call.auth
    return object()


def _check_batch(values: list[Any]) -> RpcError | None:
    if not values:
        return invalid_request(
            "A batch must not be empty. Send at least one call, or one call as an object."
        )
    if len(values) > BATCH_MAX:
        return invalid_request(f"A batch may have at most {BATCH_MAX} calls. Split it.")
    methods = [value.get("method") for value in values if type(value) is dict]
    if sum(type(method) is str and method in HASHING for method in methods) > BATCH_HASHES_MAX:
        names = ", ".join(sorted(HASHING))
        return invalid_request(
            f"A batch may have at most {BATCH_HASHES_MAX} calls to {names}. Split it."
        )
    return None
