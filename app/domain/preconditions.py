"""Conditional requests: If-Match and If-None-Match (RFC 9110 section 13.1)."""

from dataclasses import dataclass

from app.domain.errors import FieldError, InvalidInput, PreconditionFailed
from app.domain.text import Pattern

# The maximum length of a list of entity tags; ours have a few dozen characters each.
ETAGS_MAX = 8 * 1024
_TAG = r'(?:W/)?"[!#-~\x80-\xff]*+"'
_TAGS = Pattern(_TAG, ETAGS_MAX)
_LIST = Pattern(rf"[ \t,]*+{_TAG}(?:[ \t]*+,[ \t,]*+{_TAG})*+[ \t,]*+", ETAGS_MAX)
# The hexadecimal digits in an entity tag that identify the servers of another service.
DIGEST_DIGITS = 16
_SERVERS_PART = Pattern(rf'\.[0-9a-f]{{{DIGEST_DIGITS}}}"\Z', ETAGS_MAX)
_WEAK = "A weak entity tag (W/…) never matches in If-Match; send the ETag value unchanged."
_EXCLUDED = "If-None-Match excludes the current version. Leave the header out to change it anyway."


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The values of If-Match and If-None-Match; None if they were not sent."""

    if_match: str | None = None
    if_none_match: str | None = None

    def require(self, etag: str) -> None:
        """Compare with the current entity tag.

        Raises PreconditionFailed, and InvalidInput for a malformed list. If `etag` does not cover
        servers, that part of a tag is ignored: servers of another service cannot be changed here,
        so no update of them can be lost.
        """
        if self.if_match is not None:
            tags = _compared(_tags("if_match", self.if_match), etag)
            if "*" not in tags and etag not in tags:
                is_weak = any(tag.startswith("W/") for tag in tags)
                raise PreconditionFailed(_WEAK) if is_weak else PreconditionFailed()
        if self.if_none_match is not None:
            tags = _compared(_tags("if_none_match", self.if_none_match), etag)
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


def _compared(tags: list[str], etag: str) -> list[str]:
    if "." in etag:
        return tags
    return [_SERVERS_PART.sub('"', tag) for tag in tags]
