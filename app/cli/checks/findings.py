"""Findings of `gatehouse doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """Severity of a finding: nothing to do, worth a look, or to be fixed."""

    OK = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check."""

    mark: Mark
    subject: str
    detail: str


def ok(subject: str, detail: str) -> Finding:
    return Finding(Mark.OK, subject, detail)


def note(subject: str, detail: str) -> Finding:
    return Finding(Mark.NOTE, subject, detail)


def bad(subject: str, detail: str) -> Finding:
    return Finding(Mark.BAD, subject, detail)
