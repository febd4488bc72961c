"""From the bytes of a request to the bytes of its answer."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from time import perf_counter
from typing import Any

import structlog
from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain.audit import Door
from app.domain.errors import DomainError, Flaw, Internal, InvalidInput
from app.domain.readings import Reading, faults
from app.rpc.envelope import (
    Request,
    RpcError,
    batch,
    failure,
    invalid_request,
    method_not_found,
    parse_error,
    read_request,
    success,
)
from app.rpc.errors import Dialect, chat_dialect, problem_dialect
from app.rpc.methods import METHODS, Method, Params, read_params
from app.rpc.openrpc import DISCOVER
from app.usecases.accounts import Nothing
from app.usecases.call import Caller
from app.usecases.operation import Operation
from app.wire import json
from app.wire.begun import Begun
from app.wire.http import (
    JSON,
    Context,
    caller_of,
    context_of,
    media_type,
    method_not_allowed,
    read_body,
    require_media_type,
    send_json,
)
from app.wire.inputs import input_form
from app.wire.ready import Ready

PATH = "/rpc"
CONTENT_TYPES = (JSON, "application/json-rpc", "application/jsonrequest")
BATCH_MAX = 100
BATCH_HASHES_MAX = 10
# How long a batch may go on before others have their turn.
TURN_SECONDS = 0.001
HASHING = frozenset(name for name, method in METHODS.items() if method.operation.hashes)
_READ_TOGETHER = frozenset(name for name, method in METHODS.items() if method.operation.run_each)
_AT_ONCE = [
    name.encode()
    for name, method in METHODS.items()
    if method.operation.lasting or name in _READ_TOGETHER
]
# Where the scope has an answer that was begun and had to wait.
_BEGUN = "gatehouse.begun"

# How often which method had which outcome: OK, or what the error is called.
Counts = dict[tuple[str, str], int]
OK = "ok"
NO_METHOD = "none"

_NO_PARAMETERS = input_form(Nothing)
_LOG = structlog.get_logger("gatehouse.rpc")


class RpcEndpoint:
    """The ASGI application at `/rpc`."""

    def __init__(self, ready: Ready, document: Callable[[], dict[str, Any]]) -> None:
        self._ready = ready
        self._document = cache(lambda: json.dump(document()))
        self._counts: Counts = defaultdict(int)

    def readings(self) -> Iterator[Reading]:
        """What became of the calls of each method; a name that is none of ours is `none`."""
        about = "Calls of JSON-RPC, each of a batch by itself."
        for (method, outcome), count in self._counts.items():
            labels = (("method", method), ("outcome", outcome))
            yield Reading("rpc_calls", about, count, labels, is_total=True)
        ours = sum(n for (_, outcome), n in self._counts.items() if outcome == Internal.slug)
        yield faults("rpc", ours)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            raise method_not_allowed({"POST"})
        context = context_of(scope)
        context.route = PATH
        if (begun := scope.get(_BEGUN)) is not None:
            await send_json(send, await begun)
            return
        require_media_type(scope, *CONTENT_TYPES)
        dialect = _dialect(scope["query_string"])
        body = await read_body(scope, receive)
        reply = await self._exchange(scope, context, dialect).answer(body)
        if reply is None:
            await Response(status_code=204)(scope, receive, send)
        else:
            await send_json(send, reply)

    def at_once(self, scope: Scope, context: Context, body: bytes, /) -> bytes | None:
        """The reply to a single call whose answer is ready, or that waits for nothing."""
        # `in` makes and drops an exception first: it tries to take the name for a number.
        if not any(body.find(name) >= 0 for name in _AT_ONCE):
            return None
        if scope["method"] != "POST" or scope["query_string"]:
            return None
        if media_type(scope) not in CONTENT_TYPES:
            return None
        try:
            request = read_request(json.parse(body))
        except (ValueError, RpcError):
            return None
        if request.is_notification:
            return None
        if (found := find_ready(self._ready, request, context)) is None:
            return self._begin(scope, context, request)
        context.route = PATH
        context.noted["methods"] = [request.method]
        self._counts[request.method, OK] += 1
        return success(request.id, found)

    def _begin(self, scope: Scope, context: Context, request: Request) -> bytes | None:
        """The reply to a call that seldom waits; where it does, the rest is left in the scope."""
        if request.method not in _READ_TOGETHER or not self._ready.seldom_waits:
            return None
        context.route = PATH
        begun = Begun(self._exchange(scope, context, chat_dialect).reply(request))
        if not begun.is_done:
            scope[_BEGUN] = begun
        return begun.result

    def _exchange(self, scope: Scope, context: Context, dialect: Dialect) -> "Exchange":
        return Exchange(self._ready, self._document, scope, dialect, context, self._counts)


def find_ready(ready: Ready, request: Request, context: Context) -> bytes | None:
    """The result of a call whose answer is ready."""
    method = METHODS.get(request.method)
    if method is None or request.params:
        return None
    credential = context.credential if request.auth is None else request.auth
    return ready.find(method.operation, credential, context.address)


class Exchange:
    """One HTTP request's worth of calls."""

    def __init__(
        self,
        ready: Ready,
        document: Callable[[], bytes],
        scope: Scope,
        dialect: Dialect,
        context: Context,
        counts: Counts,
    ) -> None:
        self._ready = ready
        self._document = document
        self._scope = scope
        self._caller: Caller | None = None
        self._dialect = dialect
        self._context = context
        self._counts = counts
        self._methods: list[str] = []
        context.noted["methods"] = self._methods

    async def answer(self, body: bytes) -> bytes | None:
        """The reply to a call or a batch; None where only notifications were sent."""
        try:
            value = json.parse(body)
        except ValueError:
            return self._refused(parse_error())
        if type(value) is not list:
            return await self.reply(_read(value))
        if (error := _refused_batch(value)) is not None:
            return self._refused(error)
        replies = []
        began = perf_counter()
        for _, run in groupby(map(_read, value), _done_together):
            # Calls that wait for nothing would keep everybody else waiting.
            if perf_counter() - began > TURN_SECONDS:
                await asyncio.sleep(0)
                began = perf_counter()
            replies += await self._replies([*run])
        return batch(replies) if replies else None

    async def reply(self, call: Request | RpcError) -> bytes | None:
        """The reply to one call; None to a notification."""
        replies = await self._replies([call])
        return replies[0] if replies else None

    async def _replies(self, run: Sequence[Request | RpcError]) -> list[bytes]:
        """The replies to calls that are done together, but for notifications."""
        calls = [call for call in run if isinstance(call, Request)]
        if not calls:
            return [self._refused(call) for call in run if isinstance(call, RpcError)]
        method = calls[0].method
        counted = method if method in METHODS or method == DISCOVER else NO_METHOD
        replies = []
        for call, outcome in zip(calls, await self._outcomes(method, calls), strict=True):
            if isinstance(outcome, RpcError):
                slug, reply = outcome.slug, failure(call.id, outcome)
            else:
                slug, reply = OK, success(call.id, outcome)
            self._counts[counted, slug] += 1
            if not call.is_notification:
                replies.append(reply)
        return replies

    def _refused(self, error: RpcError) -> bytes:
        """The reply to what is no call of any method."""
        self._counts[NO_METHOD, error.slug] += 1
        return failure(None, error)

    async def _outcomes(self, name: str, calls: Sequence[Request]) -> Sequence[bytes | RpcError]:
        """What becomes of calls of one method by one caller."""
        if name == DISCOVER:
            return [self._discovered(call) for call in calls]
        method = METHODS.get(name)
        if method is None:
            return [method_not_found() for _ in calls]
        self._methods += [name] * len(calls)
        ready = find_ready(self._ready, calls[0], self._context) if len(calls) == 1 else None
        if ready is not None:
            return [ready]
        inputs = [_input(method, call.params) for call in calls]
        commands = [it for it in inputs if not isinstance(it, RpcError)]
        # Parameters are of more kinds than it is worth to tell apart.
        query = None if calls[0].params else b""
        done = iter(await self._perform(method.operation, calls[0].auth, commands, query))
        return [it if isinstance(it, RpcError) else next(done) for it in inputs]

    async def _perform(
        self,
        operation: Operation,
        auth: str | None,
        commands: Sequence[object],
        query: bytes | None,
    ) -> Sequence[bytes | RpcError]:
        if not commands:
            return ()
        caller = self._caller = self._caller or caller_of(self._scope, Door.RPC)
        if auth is not None:
            caller = replace(caller, credential=auth)
        outcomes: Sequence[bytes | DomainError]
        request_id = self._context.request_id
        try:
            outcomes = await self._ready.perform_each(operation, caller, commands, query)
        except Exception:
            _LOG.exception("fault", request_id=request_id, method=operation.name)
            outcomes = [Internal(request_id)] * len(commands)
        return [
            self._dialect(outcome, request_id) if isinstance(outcome, DomainError) else outcome
            for outcome in outcomes
        ]

    def _discovered(self, call: Request) -> bytes | RpcError:
        try:
            read_params(_NO_PARAMETERS, call.params)
        except RpcError as error:
            return error
        return self._document()


def _read(value: Any) -> Request | RpcError:
    try:
        return read_request(value)
    except RpcError as error:
        return error


def _input(method: Method, params: Params) -> Any:
    try:
        return method.read(params)
    except RpcError as error:
        return error


def _done_together(call: Request | RpcError) -> object:
    """The same for neighbours in a batch that are one piece of work: they only read."""
    if isinstance(call, Request) and call.method in _READ_TOGETHER:
        return call.method, call.auth
    return object()


def _refused_batch(values: list[Any]) -> RpcError | None:
    if not values:
        return invalid_request("A batch must not be empty.")
    if len(values) > BATCH_MAX:
        return invalid_request(f"A batch may have at most {BATCH_MAX} calls.")
    methods = [value.get("method") for value in values if type(value) is dict]
    if sum(type(method) is str and method in HASHING for method in methods) > BATCH_HASHES_MAX:
        names = ", ".join(sorted(HASHING))
        return invalid_request(f"A batch may have at most {BATCH_HASHES_MAX} calls to {names}.")
    return None


def _dialect(query: bytes) -> Dialect:
    if not query:
        return chat_dialect
    if QueryParams(query).multi_items() == [("errors", "problem")]:
        return problem_dialect
    raise InvalidInput.of(Flaw("errors", f"{PATH} takes no query but errors=problem", "query"))
