"""Endpoint of the JSON-RPC API: request bytes to response bytes."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain.errors import (
    FieldError,
    Internal,
    InvalidInput,
    MethodNotAllowed,
)
from app.domain.measurements import Measurement, measure_faults
from app.http.idempotency import REPLAYED
from app.http.request import (
    JSON,
    OK,
    Context,
    context_of,
    read_body,
    refuse_query,
    require_media_type,
    send_json,
)
from app.operations.framework.services import Services
from app.rpc.call_log import note_call
from app.rpc.error_codes import ErrorDialect, chat_dialect, problem_dialect
from app.rpc.exchange import Counts, RpcExchange

PATH = "/rpc"
# The page that describes the methods, for browsers that open the path.
DOCS = "/rpc/docs"
CONTENT_TYPES = (JSON, "application/json-rpc", "application/jsonrequest")


class RpcEndpoint:
    """The ASGI application at `/rpc`."""

    options = methods = frozenset({"POST"})

    def __init__(self, services: Services, document: Callable[[Scope], bytes]) -> None:
        self._services = services
        self._document = document
        self._counts: Counts = defaultdict(int)

    def measurements(self) -> Iterator[Measurement]:
        """Return the calls by method and outcome; unknown methods count as `none`."""
        about = "JSON-RPC calls; each call of a batch counts."
        for (method, outcome), count in self._counts.items():
            labels = (("method", method), ("outcome", outcome))
            yield Measurement("rpc_calls", about, count, labels, is_total=True)
        ours = sum(n for (_, outcome), n in self._counts.items() if outcome == Internal.slug)
        yield measure_faults("rpc", ours)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            method = scope["method"]
            nearest = context_of(scope).link_to(DOCS) if method == "GET" else None
            raise MethodNotAllowed(self.methods, sent=method, nearest=nearest)
        context = context_of(scope)
        context.route = PATH
        require_media_type(scope, *CONTENT_TYPES)
        dialect = _dialect(scope["query_string"])
        body = await read_body(scope, receive)
        exchange = RpcExchange(
            self._services, self._document, scope, dialect, context, self._counts
        )
        reply = await exchange.answer(body)
        headers = {REPLAYED: "true"} if exchange.is_replayed else {}
        if reply is None:
            await Response(status_code=204, headers=headers)(scope, receive, send)
        else:
            await send_json(send, reply, headers)

    def note_cached(self, context: Context, method: str) -> None:
        """Count and log a call that was answered from the response cache."""
        context.route = PATH
        note_call(context, method, OK)
        self._counts[method, OK] += 1


def _dialect(query: bytes) -> ErrorDialect:
    if not query:
        return chat_dialect
    names = QueryParams(query)
    if names.multi_items() == [("errors", "problem")]:
        return problem_dialect
    refuse_query(names, ["errors"])
    raise InvalidInput.for_fields(
        FieldError("errors", "must be 'problem', given once, or be left out", "query")
    )
