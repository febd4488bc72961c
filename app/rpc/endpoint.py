"""From the bytes of a request to the bytes of its answer."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
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
from app.rpc.methods import METHODS, read_params
from app.rpc.openrpc import DISCOVER
from app.usecases.accounts import Nothing
from app.usecases.call import Caller
from app.wire import json
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
_LASTING = [name.encode() for name, method in METHODS.items() if method.operation.lasting]

# How often which method had which outcome: OK, or what the error is called.
Counts = dict[tuple[str, str], int]
OK = "ok"
NO_METHOD = "none"

_NO_PARAMETERS = input_form(Nothing)
_LOG = structlog.get_logger("gatehouse.rpc")


class RpcEndpoint:
    """The ASGI application at `/rpc`."""

    def __init__(self, ready: Ready, document: dict[str, Any]) -> None:
        self._ready = ready
        self._document = json.dump(document)
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
        require_media_type(scope, *CONTENT_TYPES)
        exchange = Exchange(
            self._ready,
            self._document,
            scope,
            _dialect(scope["query_string"]),
            context,
            self._counts,
        )
        reply = await exchange.answer(await read_body(scope, receive))
        context.noted["methods"] = exchange.methods
        if reply is None:
            await Response(status_code=204)(scope, receive, send)
        else:
            await send_json(send, reply)

    def at_once(self, scope: Scope, context: Context, body: bytes, /) -> bytes | None:
        """The reply to a single call whose answer is ready."""
        # `in` makes and drops an exception first: it tries to take the name for a number.
        if not any(body.find(name) >= 0 for name in _LASTING):
            return None
        if scope["method"] != "POST" or scope["query_string"]:
            return None
        if media_type(scope) not in CONTENT_TYPES:
            return None
        try:
            request = read_request(json.parse(body))
        except (ValueError, RpcError):
            return None
        if request.is_notification or (found := find_ready(self._ready, request, context)) is None:
            return None
        context.route = PATH
        context.noted["methods"] = [request.method]
        self._counts[request.method, OK] += 1
        return success(request.id, found)


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
        document: bytes,
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
        self.methods: list[str] = []

    async def answer(self, body: bytes) -> bytes | None:
        """The reply to a call or a batch; None where only notifications were sent."""
        try:
            value = json.parse(body)
        except ValueError:
            return self._refused(parse_error())
        if type(value) is not list:
            return await self._answer_one(value)
        if (error := _refused_batch(value)) is not None:
            return self._refused(error)
        replies = []
        began = perf_counter()
        for item in value:
            # Calls that wait for nothing would keep everybody else waiting.
            if perf_counter() - began > TURN_SECONDS:
                await asyncio.sleep(0)
                began = perf_counter()
            if (reply := await self._answer_one(item)) is not None:
                replies.append(reply)
        return batch(replies) if replies else None

    async def _answer_one(self, value: Any) -> bytes | None:
        try:
            request = read_request(value)
        except RpcError as error:
            return self._refused(error)
        outcome = OK
        try:
            reply = success(request.id, await self._result(request))
        except RpcError as error:
            reply, outcome = failure(request.id, error), error.slug
        method = request.method
        if method not in METHODS and method != DISCOVER:
            method = NO_METHOD
        self._counts[method, outcome] += 1
        return None if request.is_notification else reply

    def _refused(self, error: RpcError) -> bytes:
        """The reply to what is no call of any method."""
        self._counts[NO_METHOD, error.slug] += 1
        return failure(None, error)

    async def _result(self, request: Request) -> bytes:
        if request.method == DISCOVER:
            read_params(_NO_PARAMETERS, request.params)
            return self._document
        method = METHODS.get(request.method)
        if method is None:
            raise method_not_found()
        self.methods.append(request.method)
        if (found := find_ready(self._ready, request, self._context)) is not None:
            return found
        command = method.read(request.params)
        caller = self._caller = self._caller or caller_of(self._scope, Door.RPC)
        if request.auth is not None:
            caller = replace(caller, credential=request.auth)
        try:
            return await self._ready.perform(method.operation, caller, command)
        except DomainError as error:
            raise self._dialect(error, self._context.request_id) from error
        except Exception as error:
            _LOG.exception("fault", request_id=self._context.request_id, method=request.method)
            raise self._dialect(
                Internal(self._context.request_id), self._context.request_id
            ) from error


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
