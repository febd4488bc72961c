"""Errors as JSON-RPC error objects, in the dialect of chat clients and as problems."""

from collections.abc import Callable
from typing import NamedTuple

from app.domain import errors as e
from app.http.problem import problem_object
from app.http.request import Context
from app.rpc.envelope import INTERNAL_ERROR, METHOD_NOT_FOUND, RpcError

# The message for every error of the domain ('internal error') that chat clients expect.
CHAT_MESSAGE = "内部错误"


class ErrorDialect(NamedTuple):
    """Rendering of errors of the domain and of JSON-RPC."""

    of_domain: Callable[[e.DomainError, Context], RpcError]
    of_protocol: Callable[[RpcError, Context], RpcError]


def _chat_error(error: e.DomainError, _context: Context) -> RpcError:
    return RpcError(error.slug, INTERNAL_ERROR, CHAT_MESSAGE, error.detail)


def _chat_protocol_error(error: RpcError, _context: Context) -> RpcError:
    return error


def _problem(error: e.DomainError, context: Context) -> RpcError:
    problem = problem_object(error, context.request_id, context.base_path)
    return RpcError(error.slug, error.rpc_code, error.title, problem)


def _protocol_problem(error: RpcError, context: Context) -> RpcError:
    sentence = error.data or error.message
    kind = (
        e.NotFound(sentence)
        if error.code == METHOD_NOT_FOUND
        else e.InvalidInput(sentence, error.field_errors)
    )
    problem = problem_object(kind, context.request_id, context.base_path)
    return RpcError(error.slug, error.code, error.message, problem, error.request_id)


# As chat clients expect it: one code, one message, the sentence as data.
chat_dialect = ErrorDialect(_chat_error, _chat_protocol_error)
# `?errors=problem`: a code for each error, its title, and the problem object of the REST API.
problem_dialect = ErrorDialect(_problem, _protocol_problem)
