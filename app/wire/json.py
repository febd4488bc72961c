"""JSON as RFC 8259 has it, and nothing beyond it."""

import math
import re
from typing import Any

from pydantic_core import from_json, to_json

# A number that is too large for a float is written with an exponent or with hundreds of digits.
_MAY_OVERFLOW = re.compile(rb"[0-9](?:[eE]\+?0*[0-9]{3}|(?<![0-9][0-9])[0-9]{199})")
# To look for one in so few bytes costs more than to look at all values.
_SHORT = 4096
# More than any request needs, and few enough that building them keeps nobody waiting.
CONTAINERS_MAX = 20_000

dump = to_json


def parse(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError.

    Refused, beside what is not JSON: NaN and infinities (1e999 among them), lone surrogates, a
    byte order mark, more than 200 levels, integers of more than 4,300 digits, more than 20,000
    arrays and objects.
    """
    # Fewer bytes hold fewer of them.
    if len(body) > CONTAINERS_MAX and body.count(b"[") + body.count(b"{") > CONTAINERS_MAX:
        raise ValueError("there are too many arrays and objects")
    value = from_json(body, allow_inf_nan=False)
    if (len(body) <= _SHORT or _MAY_OVERFLOW.search(body)) and _has_infinity(value):
        raise ValueError("a number is too large")
    return value


def _has_infinity(value: Any) -> bool:
    found = [value]
    for item in found:
        kind = type(item)
        if kind is float and math.isinf(item):
            return True
        if kind is dict:
            found += item.values()
        elif kind is list:
            found += item
    return False
