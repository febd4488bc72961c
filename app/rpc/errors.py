"""The catalogue on the chat door: its own dialect, and the one that shows problems."""

from collections.abc import Callable

from app.domain import errors as e
from app.rpc.envelope import INTERNAL_ERROR, RpcError
from app.wire.problem import problem_object

# The chat document's message for every error of the domain: 'internal error'.
CHAT_MESSAGE = "内部错误"

# One code per slug for good: a code is never given to another error, and one that goes leaves a
# gap. A fault of ours keeps the code that JSON-RPC has for it.
PROBLEM_CODES: dict[type[e.DomainError], int] = {
    e.InvalidInput: -32001,
    e.InvalidUsername: -32002,
    e.InvalidEmail: -32003,
    e.InvalidPresence: -32004,
    e.WeakPassword: -32005,
    e.UsernameTaken: -32006,
    e.EmailTaken: -32007,
    e.InvalidCredentials: -32008,
    e.Unauthenticated: -32009,
    e.AccountDisabled: -32010,
    e.Forbidden: -32011,
    e.RegistrationClosed: -32012,
    e.UserNotFound: -32013,
    e.NotFound: -32014,
    e.MethodNotAllowed: -32015,
    e.LastAdmin: -32016,
    e.PreconditionFailed: -32017,
    e.PayloadTooLarge: -32018,
    e.UnsupportedMediaType: -32019,
    e.Overloaded: -32020,
    e.RateLimited: -32021,
    e.RequestInFlight: -32022,
    e.UpstreamFailed: -32023,
    e.UpstreamTimeout: -32024,
    e.Internal: INTERNAL_ERROR,
}

Dialect = Callable[[e.DomainError, str], RpcError]


def chat_dialect(error: e.DomainError, _request_id: str) -> RpcError:
    """The chat document's own form: one code, one message, the sentence as data."""
    return RpcError(error.slug, INTERNAL_ERROR, CHAT_MESSAGE, error.detail)


def problem_dialect(error: e.DomainError, request_id: str) -> RpcError:
    """`?errors=problem`: a code of its own, the title, and the REST door's problem object."""
    problem = problem_object(error, request_id)
    return RpcError(error.slug, PROBLEM_CODES[type(error)], error.title, problem)
