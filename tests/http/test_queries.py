"""Query parameters that no route takes."""

import pytest

from app.domain import errors
from app.domain.errors import FIELD_ERRORS_MAX, InvalidInput
from app.http.request import refuse_query


def test_the_nearest_name_is_searched_only_for_names_that_the_error_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A query has room for thousands, and each search takes 20 µs."""
    searched: list[str] = []
    monkeypatch.setattr(errors, "closest_match", lambda name, *_: searched.append(name))
    names = [f"name{number}" for number in range(5 * FIELD_ERRORS_MAX)]
    with pytest.raises(InvalidInput) as refused:
        refuse_query(names, ["limit"])
    assert searched == names[:FIELD_ERRORS_MAX]
    assert len(refused.value.field_errors) == FIELD_ERRORS_MAX
