"""The formats of strings, numbers and lists in inputs and views, with the domain's limits.

They describe values in the API documents and validate nothing: the domain does, and its errors name
the rule that a value breaks. Lengths count code points of the normalized text.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from typing_extensions import TypeAliasType

from app.domain.addresses import ADDRESS_MAX
from app.domain.audit import REQUEST_ID_MAX
from app.domain.credentials import (
    ACCESS_KEY,
    ACCESS_KEY_LENGTH,
    AGENT_MAX,
    KEY_ID,
    KEY_ID_LENGTH,
    KEY_NAME_MAX,
    TOKEN_MAX,
)
from app.domain.guilds_and_servers import ICON_MAX, NAME_MAX
from app.domain.key_limits import NETWORK, NETWORK_MAX, NETWORKS_MAX
from app.domain.names import DISPLAY_NAME_MAX, EMAIL_MAX, IMPORTED_MAX, USERNAME_MAX, USERNAME_MIN
from app.domain.passwords import PASSWORD_MAX, PASSWORD_MIN
from app.domain.preconditions import ETAGS_MAX
from app.domain.users import (
    CURSOR_MAX,
    NUMBER_MAX,
    PAGE_MAX,
    SEARCH_MAX,
    SNOWFLAKE,
    SNOWFLAKE_MAX,
    UUID_LENGTH,
    SortKey,
)

# The longest name of an operation, an error or a kind of message is shorter.
IDENTIFIER_MAX = 64


class Keywords:
    """Keywords of JSON Schema for the type that it annotates."""

    def __init__(self, **keywords: Any) -> None:
        self._keywords = keywords

    @property
    def bounds(self) -> str:
        """The bounds of a number, as a sentence ends with them."""
        minimum, maximum = self._keywords.get("minimum"), self._keywords.get("maximum")
        return "" if minimum is None or maximum is None else f" from {minimum} to {maximum}"

    def __get_pydantic_json_schema__(
        self, core_schema: Any, handler: Callable[[Any], dict[str, Any]]
    ) -> dict[str, Any]:
        """Return pydantic's schema with the keywords."""
        return {**handler(core_schema), **self._keywords}


def _length(maximum: int, minimum: int = 1) -> Keywords:
    return Keywords(minLength=minimum, maxLength=maximum)


def _matching(expression: str, maximum: int) -> Keywords:
    # JSON Schema searches, while the domain matches the whole text.
    return Keywords(**{"pattern": f"^{expression}$"}, maxLength=maximum)


def constant(text: str) -> Keywords:
    """Return the keywords of a text that is always the same.

    Generators make an enumeration of an enum or const with one value.
    """
    return _matching(text, len(text))


_UUID = Keywords(format="uuid", minLength=UUID_LENGTH, maxLength=UUID_LENGTH)

Snowflake = TypeAliasType(
    "Snowflake",
    Annotated[str, _matching(SNOWFLAKE, len(str(SNOWFLAKE_MAX)))],
)
Uuid = TypeAliasType("Uuid", Annotated[str, _UUID])
UuidList = TypeAliasType("UuidList", list[Uuid])
Number = TypeAliasType(
    "Number", Annotated[int, Keywords(format="int64", minimum=1, maximum=NUMBER_MAX)]
)
EntryNumber = TypeAliasType(
    "EntryNumber", Annotated[int, Keywords(format="int64", minimum=0, maximum=NUMBER_MAX)]
)
Count = TypeAliasType("Count", Annotated[int, Keywords(format="int32", minimum=0)])
Bit = TypeAliasType("Bit", Annotated[int, Keywords(minimum=0, maximum=1)])
Timestamp = TypeAliasType("Timestamp", datetime)

UsernameText = TypeAliasType("UsernameText", Annotated[str, _length(IMPORTED_MAX)])
NewUsername = TypeAliasType("NewUsername", Annotated[str, _length(USERNAME_MAX, USERNAME_MIN)])
DisplayName = TypeAliasType("DisplayName", Annotated[str, _length(DISPLAY_NAME_MAX)])
EmailAddress = TypeAliasType(
    "EmailAddress", Annotated[str, Keywords(format="idn-email", minLength=3, maxLength=EMAIL_MAX)]
)
Password = TypeAliasType(
    "Password", Annotated[str, Keywords(format="password", minLength=1, maxLength=PASSWORD_MAX)]
)
NewPassword = TypeAliasType(
    "NewPassword",
    Annotated[str, Keywords(format="password", minLength=PASSWORD_MIN, maxLength=PASSWORD_MAX)],
)
AccountId = TypeAliasType("AccountId", Annotated[str, _length(UUID_LENGTH)])
UserRef = TypeAliasType("UserRef", Annotated[str, _length(IMPORTED_MAX)])

Token = TypeAliasType("Token", Annotated[str, _length(TOKEN_MAX)])
SessionId = TypeAliasType("SessionId", Annotated[str, _UUID])
KeyId = TypeAliasType("KeyId", Annotated[str, _matching(KEY_ID, KEY_ID_LENGTH)])
AccessKeyText = TypeAliasType(
    "AccessKeyText",
    Annotated[str, _matching(ACCESS_KEY, ACCESS_KEY_LENGTH)],
)
KeyName = TypeAliasType("KeyName", Annotated[str, _length(KEY_NAME_MAX)])
CidrBlock = TypeAliasType("CidrBlock", Annotated[str, _matching(NETWORK, NETWORK_MAX)])
ClientAddress = TypeAliasType("ClientAddress", Annotated[str, _length(ADDRESS_MAX)])
NetworkList = TypeAliasType(
    "NetworkList", Annotated[list[CidrBlock], Keywords(minItems=1, maxItems=NETWORKS_MAX)]
)
UserAgent = TypeAliasType("UserAgent", Annotated[str, _length(AGENT_MAX, 0)])

Label = TypeAliasType("Label", Annotated[str, _length(NAME_MAX)])
IconUrl = TypeAliasType("IconUrl", Annotated[str, Keywords(format="uri", maxLength=ICON_MAX)])

# A type for several kinds of values is a burden in many languages.
AuditValue = TypeAliasType(
    "AuditValue", Annotated[Any, Keywords(description="A string, 0 or 1, or null.")]
)
# The longest text that is shown is the URL of an icon.
Text = TypeAliasType("Text", Annotated[str, _length(ICON_MAX, 0)])
Identifier = TypeAliasType("Identifier", Annotated[str, _length(IDENTIFIER_MAX)])
RequestId = TypeAliasType("RequestId", Annotated[str, _length(REQUEST_ID_MAX)])
SearchText = TypeAliasType("SearchText", Annotated[str, Keywords(maxLength=SEARCH_MAX)])
EntityTags = TypeAliasType("EntityTags", Annotated[str, Keywords(maxLength=ETAGS_MAX)])
Cursor = TypeAliasType("Cursor", Annotated[str, _length(CURSOR_MAX)])
PageLimit = TypeAliasType("PageLimit", Annotated[int, Keywords(minimum=1, maximum=PAGE_MAX)])
UserSort = TypeAliasType(
    "UserSort", Annotated[str, Keywords(enum=[*SortKey, *(f"-{key}" for key in SortKey)])]
)


def bit(value: bool) -> Bit:
    """Return a flag as 0 or 1."""
    return 1 if value else 0
