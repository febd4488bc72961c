"""Conditional requests: If-Match and If-None-Match (RFC 9110 section 13.1)."""

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.errors import FieldError, InvalidInput, PreconditionFailed
from app.domain.text import Pattern

# The maximum length of a list of entity tags; ours have a few dozen characters each.
ETAGS_MAX = 8 * 1024
_TAG = r'(?:W/)?"[!#-~\x80-\xff]*+"'
_TAGS = Pattern(_TAG, ETAGS_MAX)
_LIST = Pattern(rf"[ \t,]*+{_TAG}(?:[ \t]*+,[ \t,]*+{_TAG})*+[ \t,]*+", ETAGS_MAX)
# The hexadecimal digits in an entity tag that identify what an update cannot change: a lock, and
# the servers of another service.
DIGEST_DIGITS = 16
_UNCHANGEABLE = Pattern(rf'\.[0-9a-f]{{{DIGEST_DIGITS}}}"\Z', ETAGS_MAX)
_WEAK = "A weak entity tag (W/…) never matches in If-Match; send the ETag value unchanged."
_EXCLUDED = "If-None-Match excludes the current version. Leave the header out to change it anyway."


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The values of If-Match and If-None-Match; None if they were not sent."""

    if_match: str | None = None
    if_none_match: str | None = None

    def require(self, etag: str) -> None:
        """Compare with the entity tag of the current view.

        Raises PreconditionFailed, and InvalidInput for a malformed list.
        """
        self._require(etag, _tags)

    def require_version(self, etag: str) -> None:
        """Like `require`, before an update: what it cannot change cannot be lost by it, so that
        part of the tags is ignored."""
        self._require(etag, _versions)

    def _require(self, etag: str, tags_of: Callable[[str, str], list[str]]) -> None:
        if self.if_match is not None:
            tags = tags_of("if_match", self.if_match)
            if "*" not in tags and etag not in tags:
                is_weak = any(tag.startswith("W/") for tag in tags)
                raise PreconditionFailed(_WEAK) if is_weak else PreconditionFailed()
        if self.if_none_match is not None:
            tags = tags_of("if_none_match", self.if_none_match)
            if "*" in tags or etag in {tag.removeprefix("W/") for tag in tags}:
                raise PreconditionFailed(_EXCLUDED)


NO_PRECONDITIONS = Preconditions()


def _tags(name: str, text: str) -> list[str]:
    if text.strip(" \t") == "*":
        return ["*"]
    if _LIST.fullmatch(text) is None:
        reason = 'must be * or a list of entity tags, each in double quotes: "3-1"'
        raise InvalidInput.for_fields(FieldError(name, reason))
    return _TAGS.findall(text)


def _versions(name: str, text: str) -> list[str]:
    return [_UNCHANGEABLE.sub('"', tag) for tag in _tags(name, text)]
