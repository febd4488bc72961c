"""The check that keeps private words and question-word docstrings out."""

from pathlib import PurePosixPath

import pytest

from tools.language import Words, find_problems

WORDS = Words({"at hand": "available", "nobody": "no one"})


def problem_lines(path: str, source: str) -> list[int]:
    return [finding.line for finding in find_problems(PurePosixPath(path), source, WORDS)]


@pytest.mark.parametrize("word", ["What", "Whether", "Who", "Where", "How", "When", "Which", "Why"])
def test_no_docstring_may_begin_with_a_question_word(word: str) -> None:
    source = f'"""Users."""\n\n\nclass User:\n    """{word} users are."""\n'

    assert problem_lines("app/users.py", source) == [5]


@pytest.mark.parametrize(
    "source",
    [
        '"""Return what nobody\n    asked for."""\n',
        '\nx = 1  # nobody asked\nx = "nobody"\n',
        'raise ValueError(\nf"{x}: nobody knows.")\n',
        'def read() -> None:\n    """Read the\n\n    first at\n    hand."""\n',
    ],
)
def test_private_words_are_found_in_docstrings_comments_and_messages(source: str) -> None:
    assert len(problem_lines("app/users.py", source)) == 1


@pytest.mark.parametrize("name", ["test_who_logs_in", "test_what_is_stored_is_read"])
def test_no_name_of_a_test_may_begin_with_a_question_word(name: str) -> None:
    assert problem_lines("tests/test_users.py", f"def {name}() -> None: ...\n") == [1]


def test_a_line_break_does_not_hide_a_phrase() -> None:
    assert problem_lines("docs/a.md", "# Title\n\nA key is at\nhand.\n") == [3]


def test_code_within_documentation_is_not_read() -> None:
    source = "Run as `nobody`:\n\n```sh\nsu nobody\n```\n\nas Nobody does.\n"

    assert problem_lines("docs/a.md", source) == [7]


def test_comments_of_other_files_are_read() -> None:
    source = "user nobody;\n# nobody reads this\nhelp:  ## nobody helps\n"

    assert problem_lines("docs/examples/nginx.conf", source) == [2, 3]


def test_names_of_tests_are_read_and_their_data_is_not() -> None:
    source = 'def test_nobody_logs_in() -> None:\n    assert log_in("as nobody") is None\n'

    assert problem_lines("tests/test_login.py", source) == [1]
