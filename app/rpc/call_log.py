"""The calls of a JSON-RPC request, for its log line."""

from collections import Counter
from typing import Any

from app.http.request import OK, Context

# The method of a call that names none of ours; the log shows no text of a client here.
NO_METHOD = "none"
# The outcome of a batch whose calls have several.
MIXED = "mixed"
# Kinds of calls that the line of a batch lists.
LISTED_MAX = 16


def note_call(context: Context, method: str, outcome: str) -> None:
    """Set the outcome of a request with a single call, and the member of its log line."""
    context.outcome = outcome
    if method != NO_METHOD:
        context.noted["rpc_method"] = method


class CallLog:
    """Counts the calls of a batch by method, outcome and account."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str | None]] = Counter()

    def add(self, method: str, outcome: str, account: str | None, calls: int) -> None:
        """Count calls."""
        self._counts[method, outcome, account] += calls

    def note(self, context: Context) -> None:
        """Set outcome and account of the request, and the members of its log line.

        The outcome is MIXED, and there is no account, if the calls differ in it.
        """
        if not self._counts:
            return
        _, outcomes, accounts = (set(values) for values in zip(*self._counts, strict=True))
        context.outcome = next(iter(outcomes)) if len(outcomes) == 1 else MIXED
        context.account = next(iter(accounts)) if len(accounts) == 1 else None
        context.noted.update(self._list_calls(show_accounts=len(accounts) > 1))

    def _list_calls(self, *, show_accounts: bool) -> dict[str, Any]:
        """Return the kinds of calls, failed ones first, and the number of calls left out."""
        kinds = sorted(self._counts, key=lambda kind: kind[1] == OK)
        listed = [
            {"method": method, "outcome": outcome, "count": self._counts[method, outcome, account]}
            | ({"account": account} if show_accounts and account is not None else {})
            for method, outcome, account in kinds[:LISTED_MAX]
        ]
        left_out = sum(self._counts[kind] for kind in kinds[LISTED_MAX:])
        return {"rpc_calls": listed} | ({"rpc_calls_left_out": left_out} if left_out else {})
