"""Mistakes that clients make, as requests to the API or APIs where they can be made.

Each names what its answer must say, so that a client knows how to go on.
"""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.fakes.services import PASSWORD

NO_USER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Known:
    """Credentials and names that the requests contain."""

    token: str
    other_token: str
    expired_token: str
    key: str
    uuid: str
    user_id: str
    # The uuid of the only admin.
    admin: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One request."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake, what its answer must contain, and the request of each API."""

    what: str
    says: str
    rpc: Sent | None = None
    rest: Sent | None = None


Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def sent(
    method: str, path: str, body: Any = b"", *, media: str | None = JSON, headers: Headers = ()
) -> Sent:
    """A request; a body that is no bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    pairs = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    if media is not None and content:
        pairs += (("Content-Type", media),)
    return Sent(method, path, pairs, content)


def rpc(body: Any, *, media: str | None = JSON, headers: Headers = ()) -> Sent:
    return sent("POST", "/rpc", body, media=media, headers=headers)


def call(method: str, params: Any = None, **members: Any) -> Sent:
    """A call of the JSON-RPC API; a member that is `...` is left out."""
    envelope = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1, **members}
    return rpc({name: value for name, value in envelope.items() if value is not ...})


NEW = {"username": "newcomer", "password": PASSWORD}
SIGN_UP = {"jsonrpc": "2.0", "method": "users.create", "params": NEW, "id": 1}
NEW_JSON = json.dumps(NEW)
CALL_JSON = json.dumps(SIGN_UP)


def signing_up(
    rpc_body: bytes, rest_body: bytes, *, media: str | None = JSON, headers: Headers = ()
) -> dict[str, Sent]:
    """The same body at both APIs, to register."""
    return {
        "rpc": rpc(rpc_body, media=media, headers=headers),
        "rest": sent("POST", "/users/@self", rest_body, media=media, headers=headers),
    }


def written(change: Any) -> dict[str, Sent]:
    """Both registrations as text, changed in the same way."""
    return signing_up(change(CALL_JSON), change(NEW_JSON))


def replaced(old: str, new: str, encoding: str = "utf-8") -> dict[str, Sent]:
    return written(lambda text: text.replace(old, new).encode(encoding))


def content_types() -> list[Mistake]:
    """Media types and content codings."""
    as_json = CALL_JSON.encode(), NEW_JSON.encode()

    def typed(what: str, media: str | None) -> Mistake:
        return Mistake(what, "Content-Type: application/json", **signing_up(*as_json, media=media))

    form = b"username=newcomer&password=correct"
    coded = {"Content-Encoding": "gzip"}
    zipped = [gzip.compress(body, mtime=0) for body in as_json]
    return [
        typed("no Content-Type", None),
        typed("Content-Type: text/plain", "text/plain;charset=UTF-8"),
        typed(
            "Content-Type: application/x-www-form-urlencoded (curl's default)",
            "application/x-www-form-urlencoded",
        ),
        typed("Content-Type: multipart/form-data", "multipart/form-data; boundary=x"),
        typed("Content-Type: text/json", "text/json"),
        typed("Content-Type misspelt", "application/jsn"),
        typed("two types in Content-Type", "application/json, text/plain"),
        typed("Content-Type: json", "json"),
        Mistake(
            "a form instead of JSON",
            "Content-Type: application/json",
            **signing_up(form, form, media="application/x-www-form-urlencoded"),
        ),
        Mistake("a form labelled as JSON", "a form", **signing_up(form, form)),
        Mistake(
            "a body compressed with gzip",
            "uncompressed",
            **signing_up(zipped[0], zipped[1], headers=coded),
        ),
        Mistake(
            "gzip without Content-Encoding", "uncompressed", **signing_up(zipped[0], zipped[1])
        ),
        Mistake(
            "Content-Encoding: utf-8",
            "Content-Encoding",
            **signing_up(*as_json, headers={"Content-Encoding": "utf-8"}),
        ),
        Mistake(
            "a login as multipart/form-data",
            "Content-Type: application/json",
            rest=sent("POST", "/users/auth", form, media="multipart/form-data; boundary=x"),
        ),
        Mistake(
            "a login without Content-Type",
            "Content-Type: application/json",
            rest=sent("POST", "/users/auth", as_json[1], media=None),
        ),
        Mistake(
            "a body of more than 1 MiB",
            "1048576 bytes",
            **signing_up(b" " * 1048577, b" " * 1048577),
        ),
    ]


def json_texts() -> list[Mistake]:
    """Texts that are not JSON, or another value than the one that is expected."""

    def body(what: str, says: str, text: bytes) -> Mistake:
        return Mistake(what, says, **signing_up(text, text))

    return [
        Mistake(
            "an empty body", "It is empty", **signing_up(b"", b"", headers={"Content-Type": JSON})
        ),
        body("a body of blanks", "It is empty", b" \r\n"),
        Mistake("single quotes", "double quotes", **replaced('"', "'")),
        Mistake("curly quotes", "straight double quotes", **replaced('"username"', "“username”")),
        Mistake(
            "a curly quote at the end of a string",
            "straight double quotes",
            **replaced('newcomer"', "newcomer”"),
        ),
        Mistake("names without quotes", "double quotes", **replaced('"username"', "username")),
        Mistake(
            "a trailing comma in an object",
            "comma",
            **written(lambda text: text.replace('y"}', 'y",}').encode()),
        ),
        body("a trailing comma in an array", "comma", b'{"username": ["a",]}'),
        Mistake("a missing comma", "comma", **replaced(", ", " ")),
        Mistake(
            "a comment (//)", "comment", **written(lambda text: b"// register\n" + text.encode())
        ),
        Mistake("a comment (/* */)", "comment", **replaced("{", "{ /* register */ ")),
        Mistake(
            "a comment (#)", "comment", **written(lambda text: b"# register\n" + text.encode())
        ),
        Mistake("Latin-1 instead of UTF-8", "UTF-8", **replaced("newcomer", "müller", "latin-1")),
        Mistake("UTF-16 instead of UTF-8", "UTF-8", **written(lambda text: text.encode("utf-16"))),
        Mistake("a line break inside a string", "\\n", **replaced("newcomer", "new\ncomer")),
        Mistake("a backslash that escapes nothing", "\\\\", **replaced("newcomer", "new\\comer")),
        Mistake(
            "a missing closing brace",
            "incomplete",
            **written(lambda text: text.rstrip("}").encode()),
        ),
        Mistake(
            "a string that is not closed",
            "double quote",
            **written(lambda text: text[: text.index('"}')].encode()),
        ),
        Mistake(
            "two JSON values", "one JSON value", **written(lambda text: (text + text).encode())
        ),
        Mistake("Python's None", "Write null", **replaced('"newcomer"', "None")),
        Mistake("NaN", "NaN", **replaced('"newcomer"', "NaN")),
        Mistake("Infinity", "Infinity", **replaced('"newcomer"', "Infinity")),
        Mistake("undefined", "undefined", **replaced('"newcomer"', "undefined")),
        Mistake("a number with leading zeros", "zero", **replaced('"newcomer"', "007")),
        Mistake("a hexadecimal number", "decimal", **replaced('"newcomer"', "0xff")),
        Mistake("a number with a plus sign", "plus", **replaced('"newcomer"', "+1")),
        Mistake("a number that begins with a point", "digit", **replaced('"newcomer"', ".5")),
        Mistake("a number that is too large", "1.8e308", **replaced('"newcomer"', "1e999")),
        Mistake("half of a surrogate pair", "surrogate", **replaced("newcomer", "\\ud83d")),
        Mistake("Python's True", "lower case", **replaced('"newcomer"', "True")),
        Mistake(
            "a member given twice",
            "given twice",
            **replaced('"username"', '"username": "a", "username"'),
        ),
        body(
            "JSON inside a JSON string (encoded twice)",
            "encoded twice",
            json.dumps(NEW_JSON).encode(),
        ),
        body("PHP's [] for an empty object", "object", b"[]"),
        body("an array instead of an object", "must be a JSON object", b'["newcomer", "secret"]'),
        body("null", "null", b"null"),
        body("a number", "number", b"1"),
        body("true", "true", b"true"),
        Mistake("TRUE in capitals", "lower case", **replaced('"newcomer"', "TRUE")),
        Mistake("yes for true", "true or false", **replaced('"newcomer"', "yes")),
        Mistake("a Windows path", "a backslash as \\\\", **replaced("newcomer", "C:\\Users")),
        Mistake(
            "a single quote with a backslash", "single quote", **replaced("newcomer", "it\\'s")
        ),
        Mistake("a semicolon for a comma", "commas", **replaced(", ", "; ")),
        Mistake("an equals sign for a colon", "colon", **replaced(": ", " = ")),
        Mistake("a no-break space", "invisible", **replaced("{", "{\u00a0")),
        Mistake("a missing opening brace", "opening brace", **written(lambda t: t[1:].encode())),
        body("a form with JSON in it", "a form", b'data={"username": "newcomer"}'),
        body("plain text", "double quotes", b"hello"),
        body("XML", "XML", b"<user><name>newcomer</name></user>"),
        body("nesting beyond reason", "nested too deeply", b"[" * 500),
        body("too many values", "too many", b"[" + b"1," * 30000 + b"1]"),
    ]


def envelopes(k: Known) -> list[Mistake]:
    """Requests that are not those of JSON-RPC 2.0."""

    def changed(what: str, says: str, **members: Any) -> Mistake:
        return Mistake(
            what, says, rpc=call(**{"method": "users.check", "params": ["alice"], **members})
        )

    def raw(what: str, says: str, value: Any) -> Mistake:
        return Mistake(what, says, rpc=rpc(value))

    def holder(what: str, says: str, **members: Any) -> Mistake:
        return Mistake(what, says, rpc=call("users.self", **members))

    whole = {"jsonrpc": "2.0", "method": "users.check", "params": ["alice"], "id": 1}
    return [
        changed("no jsonrpc", '"jsonrpc": "2.0"', jsonrpc=...),
        changed("jsonrpc as a number", '"jsonrpc": "2.0"', jsonrpc=2.0),
        changed("jsonrpc 1.0", '"jsonrpc": "2.0"', jsonrpc="1.0"),
        changed("json_rpc for jsonrpc", "'json_rpc'", jsonrpc=..., json_rpc="2.0"),
        changed("jsonRPC for jsonrpc", "'jsonRPC'", jsonrpc=..., jsonRPC="2.0"),
        changed("version for jsonrpc", '"jsonrpc": "2.0"', jsonrpc=..., version="2.0"),
        raw("no method", "'method'", {"jsonrpc": "2.0", "params": [], "id": 1}),
        raw(
            "Method for method",
            "'Method'",
            {"jsonrpc": "2.0", "Method": "users.check", "params": [], "id": 1},
        ),
        raw(
            "methode for method",
            "'methode'",
            {"jsonrpc": "2.0", "methode": "users.check", "params": [], "id": 1},
        ),
        raw("method null", "'method'", {**whole, "method": None}),
        raw("method as an array", "'method'", {**whole, "method": ["users", "check"]}),
        changed("param for params", "'param'", params=..., param={"username": "alice"}),
        changed(
            "parameters for params", "'parameters'", params=..., parameters={"username": "alice"}
        ),
        changed("args for params", "'args'", params=..., args=["alice"]),
        changed("Params for params", "'Params'", params=..., Params=["alice"]),
        changed("the parameters beside the envelope", "'username'", params=..., username="alice"),
        changed("params as a string", "'params' must be an object or an array", params="alice"),
        changed("params as a number", "'params' must be an object or an array", params=1),
        changed(
            "params as JSON in a string",
            "'params' must be an object or an array",
            params='{"username": "alice"}',
        ),
        changed("id as an object", "'id' must be", id={}),
        changed("id as a boolean", "'id' must be", id=True),
        changed("auth as an object", "'auth' must be", auth={"token": "…"}),
        changed("auth as a number", "'auth' must be", auth=1),
        holder("token for auth", "'token'", token=k.token),
        holder("Auth for auth", "'Auth'", Auth=k.token),
        holder("authorization for auth", "'authorization'", authorization=f"Bearer {k.token}"),
        holder("access_token for auth", "'access_token'", access_token=k.token),
        holder("apikey for auth", "'apikey'", apikey=k.key),
        holder("auth inside params", "'auth'", params={"auth": k.token}),
        holder("token inside params", "'token'", params={"token": k.token}),
        raw("an empty batch", "batch", []),
        raw("a batch inside a batch", "array", [[whole]]),
        raw("a batch of strings", "string", ["users.check"]),
        raw("more than 100 calls in a batch", "100", [whole] * 101),
        raw("more than 10 logins in a batch", "10", [{**SIGN_UP, "id": i} for i in range(11)]),
        raw("a method's name as the body", "string", "users.check"),
        raw("the body of the REST API", '"jsonrpc": "2.0"', NEW),
        raw(
            "a response instead of a request",
            "'method'",
            {"jsonrpc": "2.0", "result": True, "id": 1},
        ),
        Mistake("GET /rpc", "/rpc/docs", rpc=sent("GET", "/rpc")),
        Mistake("PUT /rpc", "POST", rpc=sent("PUT", "/rpc", whole)),
        Mistake(
            "GET with the call in the query",
            "POST",
            rpc=sent("GET", "/rpc?method=users.check&params=alice"),
        ),
        Mistake(
            "the envelope at a route of the REST API",
            "/rpc",
            rest=sent("POST", "/users/auth", {**whole, "method": "users.auth"}),
        ),
        Mistake(
            "another value of the query parameter errors",
            "must be 'problem'",
            rpc=sent("POST", "/rpc?errors=problems", whole),
        ),
        Mistake(
            "an unknown query parameter at /rpc",
            "known: errors",
            rpc=sent("POST", "/rpc?debug=1", whole),
        ),
    ]


def methods() -> list[Mistake]:
    """Names of JSON-RPC methods."""

    def named(what: str, meant: str, says: str = "") -> Mistake:
        return Mistake(what, says or f"'{meant}'", rpc=call(what, NEW))

    return [
        *(
            named(name, "users.create")
            for name in (
                "Users.Create",
                "USERS.CREATE",
                "user.create",
                "users.creat",
                "users_create",
                "users/create",
                "users:create",
                "usersCreate",
                "users.createUser",
                "create",
                "users.create()",
                " users.create",
            )
        ),
        *(
            named(name, "users.create")
            for name in ("users.register", "users.signup", "register", "createUser")
        ),
        *(
            named(name, "users.auth")
            for name in (
                "users.login",
                "login",
                "auth",
                "users.authenticate",
                "users.signin",
                "auth.login",
                "users.token",
            )
        ),
        *(
            named(name, "users.self")
            for name in (
                "users.me",
                "users.@self",
                "users.@me",
                "whoami",
                "users.get_self",
                "self",
                "users.current",
            )
        ),
        *(named(name, "users.check") for name in ("users.exists", "check", "users.exist")),
        *(named(name, "users.logout") for name in ("logout", "users.log_out")),
        *(named(name, "users.password") for name in ("users.change_password", "users.setPassword")),
        *(
            named(name, "admin.users.list")
            for name in ("users.list", "admin.user.list", "admin.users", "admin.listUsers")
        ),
        named("admin.users.delete", "admin.users.disable"),
        named("users.delete", "admin.users.disable"),
        named("system.listMethods", "rpc.discover"),
        named("rpc.methods", "rpc.discover"),
        named("user.get", "users.profile"),
        named("presence.set", "users.presence"),
        named("keys.delete", "keys.revoke"),
        named("admin.users.add", "admin.users.create"),
        named("rpc.listMethods", "rpc.discover"),
        named("nonsense", "", "'rpc.discover'"),
        Mistake("an empty name", "'rpc.discover'", rpc=call("")),
        Mistake("a name of 10,000 characters", "'rpc.discover'", rpc=call("users." * 1700)),
    ]


def members(k: Known) -> list[Mistake]:
    """Names and types of parameters and of members of a body or query."""

    def new(what: str, says: str, **body: Any) -> Mistake:
        """A registration."""
        kept = {name: value for name, value in {**NEW, **body}.items() if value is not ...}
        return Mistake(what, says, call("users.create", kept), sent("POST", "/users/@self", kept))

    def admin(what: str, says: str, **body: Any) -> Mistake:
        """An account that an admin creates."""
        kept = {"username": "newcomer", "email": "new@example.com", **body}
        kept = {name: value for name, value in kept.items() if value is not ...}
        return Mistake(
            what,
            says,
            call("admin.users.create", kept, auth=k.key),
            sent("POST", "/users", kept, headers={"X-Access-Token": k.key}),
        )

    def update(what: str, says: str, body: Any, rpc_body: Any = None) -> Mistake:
        return Mistake(
            what,
            says,
            call(
                "admin.users.update",
                {"uuid": k.uuid, **(body if rpc_body is None else rpc_body)},
                auth=k.key,
            )
            if isinstance(body, dict)
            else None,
            sent("PUT", f"/users/{k.uuid}", body, headers={"X-Access-Token": k.key}),
        )

    def listing(what: str, says: str, query: str, **params: Any) -> Mistake:
        return Mistake(
            what,
            says,
            call("admin.users.list", params, auth=k.key) if params else None,
            sent("GET", f"/users?{query}", headers={"X-Access-Token": k.key}),
        )

    def trail(what: str, says: str, **params: str) -> Mistake:
        return Mistake(
            what,
            says,
            call("admin.audit.list", params, auth=k.key),
            sent("GET", f"/audit?{urlencode(params)}", headers={"X-Access-Token": k.key}),
        )

    def positions(what: str, says: str, *values: Any) -> Mistake:
        return Mistake(what, says, call("users.create", list(values)))

    def presence(what: str, says: str, value: Any) -> Mistake:
        return Mistake(
            what,
            says,
            call("users.presence", [value], auth=k.token),
            sent("PATCH", "/users/@self/presence", value, headers={"X-Access-Token": k.token}),
        )

    def key(what: str, says: str, **body: Any) -> Mistake:
        sent_body = {"name": "bot", **body}
        return Mistake(
            what,
            says,
            call("keys.create", sent_body, auth=k.token),
            sent("POST", "/users/@self/keys", sent_body, headers={"X-Access-Token": k.token}),
        )

    return [
        new("a required member is missing", "username", username=...),
        new("Username for username", "'username'", username=..., Username="newcomer"),
        new("userName for username", "'username'", username=..., userName="newcomer"),
        new("user_name for username", "'username'", username=..., user_name="newcomer"),
        new("user for username", "username, password", username=..., user="newcomer"),
        new("name for username", "username, password", username=..., name="newcomer"),
        new("login for username", "username", username=..., login="newcomer"),
        new("pasword for password", "'password'", password=..., pasword=PASSWORD),
        new("passwd for password", "'password'", password=..., passwd=PASSWORD),
        new("Password for password", "'password'", password=..., Password=PASSWORD),
        new("displayName for display_name", "'display_name'", displayName="New"),
        new("display-name for display_name", "'display_name'", **{"display-name": "New"}),
        new("a member that is not known here", "display_name", colour="blue"),
        new("email at a registration", "display_name", email="new@example.com"),
        new("a number for a string", "string", username=12345),
        new("a number for the password", "string", password=12345678),
        new("true for a string", "string", username=True),
        new("null for a required member", "null", username=None),
        new("null for an optional member", "leave it out", display_name=None),
        new("an array for a string", "string", username=["newcomer"]),
        new("an object for a string", "string", username={"name": "newcomer"}),
        new("a username that is too short", "4 to 16", username="al"),
        new("a username with a blank", "'_'", username="new comer"),
        new("an e-mail address as username", "'_'", username="new@example.com"),
        new("a reserved username", "reserved", username="root"),
        new("a username that is taken", "already exists", username="alice"),
        new("a password that is too short", "8", password="short"),
        new("a common password", "common", password="password1"),
        new("twenty unknown members", "members", **{f"x{n}": 1 for n in range(20)}),
        new("an unknown member of 10,000 characters", "not known", **{"x" * 10000: 1}),
        admin("a flag as a string of digits", "0, 1, true or false", admin="1"),
        admin("a flag as the string true", "0, 1, true or false", admin="true"),
        admin("a flag of 2", "0, 1, true or false", admin=2),
        admin("a flag as a float", "0, 1, true or false", admin=1.0),
        admin("isAdmin for admin", "'admin'", isAdmin=1),
        admin("e-mail for email", "'email'", **{"email": ..., "e-mail": "new@example.com"}),
        admin("mail for email", "'email'", email=..., mail="new@example.com"),
        admin("an e-mail address without @", "@", email="new.example.com"),
        update("an e-mail address as number", "string", {"email": 1}),
        Mistake(
            "PHP's [] for a change without members",
            "array",
            rest=sent("PUT", f"/users/{k.uuid}", b"[]", headers={"X-Access-Token": k.key}),
        ),
        update("disable for disabled", "'disabled'", {"disable": 1}),
        update("the password hash of another system", "password", {"password_hash": "$2y$…"}),
        update("another id than the account's", "leave it out", {"id": 99}),
        Mistake(
            "the uuid in the body, too",
            "taken from the path",
            rest=sent(
                "PUT",
                f"/users/{k.uuid}",
                {"uuid": k.uuid},
                headers={"X-Access-Token": k.key},
            ),
        ),
        Mistake(
            "old and new for the passwords",
            "current, password",
            call("users.password", {"old": "a", "new": "b"}, auth=k.token),
            sent(
                "PUT",
                "/users/@self/password",
                {"old": "a", "new": "b"},
                headers={"X-Access-Token": k.token},
            ),
        ),
        listing("a limit that is no number", "whole number", "limit=ten", limit="ten"),
        listing("a number as a string", "whole number", "limit=10.5", limit="10"),
        listing("a float for a whole number", "whole number", "limit=1e1", limit=10.5),
        listing("a limit of 0", "1 to 1000", "limit=0", limit=0),
        listing("a negative limit", "1 to 1000", "limit=-1", limit=-1),
        listing("a limit that is too large", "1 to 1000", "limit=5000", limit=5000),
        listing("a number beyond 64 bits", "1 to 1000", "limit=9223372036854775808", limit=2**63),
        listing("true for a number", "whole number", "limit=true", limit=True),
        listing("Limit for limit", "'limit'", "Limit=10", Limit=10),
        listing("page for cursor", "cursor", "page=2", page=2),
        listing("per_page for limit", "limit", "per_page=10", per_page=10),
        listing("offset for cursor", "cursor", "offset=10", offset=10),
        listing("a sort key that does not exist", "username", "sort=name", sort="name"),
        listing(
            "a sort key with desc", "'-' before it", "sort=username%20desc", sort="username desc"
        ),
        listing("a status that does not exist", "active", "status=enabled", status="enabled"),
        listing("a flag in words", "0, 1, true or false", "admin=yes", admin="yes"),
        listing("a cursor that was not issued", "next", "cursor=2", cursor="2"),
        listing("a user_id that is no snowflake", "decimal", "user_id=abc", user_id="abc"),
        listing(
            "a snowflake as a number", "string", f"user_id={k.user_id}.0", user_id=int(k.user_id)
        ),
        trail("a misspelt action of the audit trail", "'keys.create'", action="keys.creat"),
        trail("an action of the audit trail with its path", "action", action="POST /users"),
        trail("an outcome in other words", "'invalid-credentials'", outcome="invalid_credential"),
        trail("a username as actor", "uuid or its snowflake", actor="someone"),
        listing("a query parameter given twice", "twice", "limit=10&limit=20"),
        listing("brackets of PHP in the query", "'status'", "status[]=active"),
        listing("Latin-1 in the query", "UTF-8", "q=m%FCller"),
        positions(
            "too many positional parameters",
            "username, password, display_name",
            "newcomer",
            PASSWORD,
            "New",
            1,
        ),
        positions("too few positional parameters", "password", "newcomer"),
        positions("an object as the only positional parameter", "object", NEW),
        presence("a presence in lower case", "ONLINE", "online"),
        presence("a presence that does not exist", "ONLINE, IDLE, DND, INVISIBLE, OFFLINE", "AWAY"),
        presence("a presence as a number", "string", 1),
        Mistake(
            "a presence without quotes",
            "double quotes",
            rest=sent(
                "PATCH", "/users/@self/presence", b"ONLINE", headers={"X-Access-Token": k.token}
            ),
        ),
        Mistake(
            "status for presence",
            "presence",
            call("users.presence", {"status": "ONLINE"}, auth=k.token),
            sent(
                "PATCH",
                "/users/@self/presence",
                {"status": "ONLINE"},
                headers={"X-Access-Token": k.token},
            ),
        ),
        key("a time in words", "2030-01-31T12:00:00Z", expires_at="tomorrow"),
        key("a date without time", "2030-01-31T12:00:00Z", expires_at="2099-01-31"),
        key("a time without zone", "2030-01-31T12:00:00Z", expires_at="2099-01-31T12:00:00"),
        key("a time as a number of seconds", "string", expires_at=4102444800),
        key("a time in the past", "future", expires_at="2020-01-31T12:00:00Z"),
        key("a scope that does not exist", "read, self, admin", scope="write"),
        key("a network as a string", "array", networks="10.0.0.0/8"),
        key("a network that is none", "192.0.2.0/24", networks=["10.0.0.0/33"]),
    ]


def names_of_accounts(k: Known) -> list[Mistake]:
    """Identifiers of accounts, guilds and servers."""

    def account(what: str, says: str, text: Any) -> Mistake:
        return Mistake(
            what,
            says,
            call("admin.users.get", [text], auth=k.key),
            sent("DELETE", f"/users/{text}", headers={"X-Access-Token": k.key}),
        )

    def reading(what: str, says: str, path: str) -> Mistake:
        return Mistake(what, says, rest=sent("GET", path, headers={"X-Access-Token": k.key}))

    return [
        account("a uuid in braces", "uuid", f"{{{k.uuid}}}"),
        account("a uuid without hyphens", "uuid", k.uuid.replace("-", "")),
        account("a uuid that is too short", "uuid", k.uuid[:-1]),
        account("a username for a uuid", "uuid", "alice"),
        account("a number for a uuid", "uuid", "1"),
        account("a snowflake for a uuid", "uuid", k.user_id),
        account("a uuid that no account has", "There is no such user", NO_USER),
        reading("a uuid in braces, read", "uuid", f"/users/{{{k.uuid}}}"),
        reading("a uuid without hyphens, read", "uuid", f"/users/{k.uuid.replace('-', '')}"),
        reading("a number, read", "uuid", "/users/1"),
        reading("a snowflake, read", "uuid", f"/users/{k.user_id}"),
        reading("urn:uuid:, read", "uuid", f"/users/urn:uuid:{k.uuid}"),
        reading("a template that was not filled in", "uuid", "/users/{uuid}"),
        reading("undefined", "undefined", "/users/undefined"),
        Mistake(
            "a username that no one has",
            "There is no such user",
            call("users.profile", ["nobody"], auth=k.token),
            sent("GET", "/profiles/nobody", headers={"X-Access-Token": k.token}),
        ),
        Mistake(
            "a guild's id that is no snowflake",
            "snowflake",
            call("guilds.members", ["my-guild"], auth=k.token),
            sent("GET", "/guilds/my-guild/members", headers={"X-Access-Token": k.token}),
        ),
        Mistake(
            "a guild's id as a number",
            "string",
            call("guilds.members", [71395574100676609], auth=k.token),
        ),
        Mistake(
            "a server's uuid in braces",
            "36 characters",
            call(
                "admin.servers.put",
                {"uuid": f"{{{NO_USER}}}", "owner": k.uuid, "name": "x"},
                auth=k.key,
            ),
            sent(
                "PUT",
                f"/servers/{{{NO_USER}}}",
                {"owner": k.uuid, "name": "x"},
                headers={"X-Access-Token": k.key},
            ),
        ),
        Mistake(
            "an owner by name",
            "by its uuid or its snowflake",
            call("admin.servers.put", {"uuid": NO_USER, "owner": "alice", "name": "x"}, auth=k.key),
            sent(
                "PUT",
                f"/servers/{NO_USER}",
                {"owner": "alice", "name": "x"},
                headers={"X-Access-Token": k.key},
            ),
        ),
        Mistake(
            "a guild that does not exist",
            "users.guilds",
            call("guilds.members", ["71395574100676609"], auth=k.token),
            sent("GET", "/guilds/71395574100676609/members", headers={"X-Access-Token": k.token}),
        ),
        Mistake(
            "the last admin",
            "another account",
            call("admin.users.disable", [k.admin], auth=k.key),
            sent("DELETE", f"/users/{k.admin}", headers={"X-Access-Token": k.key}),
        ),
        Mistake(
            "a session's id that does not exist",
            "session",
            rest=sent("DELETE", "/users/@self/sessions/1", headers={"X-Access-Token": k.token}),
        ),
        Mistake(
            "a whole access key instead of its id",
            "first 8",
            call("keys.revoke", [k.key], auth=k.token),
            sent("DELETE", f"/users/@self/keys/{k.key}", headers={"X-Access-Token": k.token}),
        ),
    ]


def credentials(k: Known) -> list[Mistake]:
    """Credentials in the wrong place or form."""

    def both(what: str, says: str, **headers: str) -> Mistake:
        """Headers; underscores become hyphens."""
        pairs = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {"jsonrpc": "2.0", "method": "users.self", "id": 1}
        return Mistake(
            what, says, rpc(body, headers=pairs), sent("GET", "/users/@self", headers=pairs)
        )

    def auth(what: str, says: str, value: str) -> Mistake:
        return Mistake(
            what,
            says,
            call("users.self", auth=value),
            sent("GET", "/users/@self", headers={"X-Access-Token": value}),
        )

    def query(name: str, value: str) -> Mistake:
        text = sent(
            "POST", f"/rpc?{name}={value}", {"jsonrpc": "2.0", "method": "users.self", "id": 1}
        )
        return Mistake(
            f"{name} in the query",
            "'Authorization: Bearer TOKEN'",
            text,
            sent("GET", f"/users/@self?{name}={value}"),
        )

    login = json.dumps({"user_id": k.user_id, "token": k.token}, separators=(",", ":"))
    bearer = "Authorization: Bearer"
    return [
        both("no credential", bearer),
        both("Authorization without Bearer", bearer, Authorization=k.token),
        both("Authorization with an access key alone", bearer, Authorization=k.key),
        both("Bearer without a blank", bearer, Authorization=f"Bearer{k.token}"),
        both("the scheme ApiKey", "Bearer", Authorization=f"ApiKey {k.key}"),
        both("HTTP Basic", "Basic", Authorization="Basic YWxpY2U6c2VjcmV0"),
        both("the scheme Token", "Bearer", Authorization=f"Token {k.token}"),
        both("the scheme JWT", "Bearer", Authorization=f"JWT {k.token}"),
        both("the scheme Digest", "Bearer", Authorization='Digest username="alice"'),
        both("Bearer: with a colon", "one blank", Authorization=f"Bearer: {k.token}"),
        both("Bearer= with an equals sign", bearer, Authorization=f"Bearer={k.token}"),
        both("Bearer Bearer", "only once", Authorization=f"Bearer Bearer {k.token}"),
        both("Bearer without a token", bearer, Authorization="Bearer"),
        both("Bearer and a blank", bearer, Authorization="Bearer "),
        both("quotes around the token", "Quotation marks", Authorization=f'Bearer "{k.token}"'),
        both(
            "single quotes around the token", "Quotation marks", Authorization=f"Bearer '{k.token}'"
        ),
        both("angle brackets around the token", "bracket", Authorization=f"Bearer <{k.token}>"),
        both("braces around the token", "brace", Authorization=f"Bearer {{{k.token}}}"),
        both("a comma after the token", "comma", Authorization=f"Bearer {k.token},"),
        both("Bearer in X-Access-Token", "only once", X_Access_Token=f"Bearer {k.token}"),
        both("an empty X-Access-Token", "X-Access-Token", X_Access_Token=""),
        both("X-Auth-Token for X-Access-Token", "X-Auth-Token", X_Auth_Token=k.token),
        both("X-API-Key for X-Access-Token", "X-Api-Key", X_API_Key=k.key),
        both("Access-Token for X-Access-Token", "Access-Token", Access_Token=k.token),
        both("X-Access-Key for X-Access-Token", "X-Access-Key", X_Access_Key=k.key),
        both("Token for X-Access-Token", "header Token", Token=k.token),
        both(
            "Authentication for Authorization", "Authentication", Authentication=f"Bearer {k.token}"
        ),
        both("a token in a cookie", "cookie", Cookie=f"token={k.token}"),
        both(
            "two different credentials",
            "Authorization",
            Authorization=f"Bearer {k.token}",
            X_Access_Token=k.other_token,
        ),
        Mistake(
            "Authorization twice",
            "Authorization",
            rest=sent(
                "GET",
                "/users/@self",
                headers=[
                    ("Authorization", f"Bearer {k.token}"),
                    ("Authorization", f"Bearer {k.other_token}"),
                ],
            ),
        ),
        auth("Bearer in auth", "only once", f"Bearer {k.token}"),
        auth("quotes around the credential", "Quotation marks", f'"{k.token}"'),
        auth("token= before the token", "'token='", f"token={k.token}"),
        auth("the scheme JWT in auth or X-Access-Token", "'JWT'", f"JWT {k.token}"),
        auth("your-token-here", "placeholder", "your-token-here"),
        auth("a line break after the token", "line break", f"{k.token}\n"),
        auth("a blank before the token", "blank", f"{k.token[:40]} {k.token[40:]}"),
        auth("the whole answer to the login", "member 'token'", login),
        auth("undefined", "placeholder", "undefined"),
        auth("null as a text", "placeholder", "null"),
        auth("a shell variable that was not replaced", "placeholder", "$TOKEN"),
        auth("a template that was not replaced", "placeholder", "{{token}}"),
        auth("the word TOKEN", "placeholder", "TOKEN"),
        auth("asterisks, as the documents show", "placeholder", "********"),
        auth("the example key of the documents", "example", "ABCDEFGH-1234-5678-0000-abcdefgh"),
        auth("the user_id for a token", "token", k.user_id),
        auth("the uuid for a token", "token", k.uuid),
        auth("the password for a token", "token", PASSWORD),
        auth("name:password", "token", f"alice:{PASSWORD}"),
        auth("a truncated token", "not valid", k.token[:-10]),
        auth("only the signature of a token", "three parts", k.token.rpartition(".")[2]),
        auth("a token twice", "not valid", f"{k.token}{k.token}"),
        auth("a token in upper case", "not valid", k.token.upper()),
        auth("an access key without hyphens", "hyphens", k.key.replace("-", "")),
        auth("only the id of an access key", "whole", k.key[:8]),
        auth("an access key in lower case", "not valid", k.key.swapcase()),
        auth("an expired token", "The token has expired. Sign in again.", k.expired_token),
        query("access_token", k.token),
        query("token", k.token),
        query("api_key", k.key),
        query("key", k.key),
        query("auth", k.token),
        query("Authorization", k.token),
        Mistake(
            "a token in the body",
            "'Authorization: Bearer TOKEN'",
            rest=sent("PATCH", "/users/@self", {"token": k.token, "display_name": "Alice"}),
        ),
        Mistake(
            "an access key to sign out",
            "token",
            call("users.logout", auth=k.key),
            sent("POST", "/users/@self/token", headers={"X-Access-Token": k.key}),
        ),
        Mistake(
            "a user's token for an admin's operation",
            "Admin privileges are required",
            call("admin.users.list", auth=k.token),
            sent("GET", "/users", headers={"X-Access-Token": k.token}),
        ),
        Mistake(
            "a wrong password",
            "invalid password",
            call("users.auth", ["alice", "wrong password"]),
            sent("POST", "/users/auth", {"username": "alice", "password": "wrong password"}),
        ),
        Mistake(
            "a login with the e-mail address",
            "invalid password",
            call("users.auth", ["alice@example.com", PASSWORD]),
            sent("POST", "/users/auth", {"username": "alice@example.com", "password": PASSWORD}),
        ),
        Mistake(
            "a login with email for username",
            "username, password",
            call("users.auth", {"email": "alice@example.com", "password": PASSWORD}),
            sent("POST", "/users/auth", {"email": "alice@example.com", "password": PASSWORD}),
        ),
        Mistake(
            "a login by Basic that is not base64",
            "base64",
            rest=sent("POST", "/users/auth", headers={"Authorization": f"Basic alice:{PASSWORD}"}),
        ),
        Mistake(
            "a login by Basic without a colon",
            "username:password",
            rest=sent("POST", "/users/auth", headers={"Authorization": "Basic YWxpY2U="}),
        ),
        Mistake(
            "a login by Bearer",
            "Content-Type: application/json",
            rest=sent("POST", "/users/auth", headers={"Authorization": f"Bearer {k.token}"}),
        ),
        Mistake(
            "a form with client_credentials",
            "password",
            rest=sent(
                "POST",
                "/users/auth",
                b"grant_type=client_credentials&username=alice&password=x",
                media="application/x-www-form-urlencoded",
            ),
        ),
        Mistake(
            "a form in which a name is given twice",
            "username: is given twice",
            rest=sent(
                "POST",
                "/users/auth",
                b"username=a&username=b&password=c",
                media="application/x-www-form-urlencoded",
            ),
        ),
        Mistake(
            "JSON labelled as a form",
            "Content-Type",
            rest=sent("POST", "/users/auth", NEW, media="application/x-www-form-urlencoded"),
        ),
    ]


def routes(k: Known) -> list[Mistake]:
    """Paths and methods."""

    def at(
        path: str, says: str, method: str = "GET", body: Any = b"", *, media: str = JSON
    ) -> Mistake:
        return Mistake(
            f"{method} {path}".replace(k.uuid, "{uuid}"),
            says,
            rest=sent(method, path, body, media=media, headers={"X-Access-Token": k.key}),
        )

    def rpc_at(path: str) -> Mistake:
        return Mistake(f"POST {path}", "/rpc", rpc=sent("POST", path, SIGN_UP))

    return [
        *(
            rpc_at(path)
            for path in (
                "/rpc/",
                "//rpc",
                "/RPC",
                "/jsonrpc",
                "/json-rpc",
                "/api/rpc",
                "/v1/rpc",
                "/rpc/users.create",
                "/api/jsonrpc",
                "/rpc/v1",
                "/",
                "/api",
            )
        ),
        *(
            at(path, "/users")
            for path in (
                "/users/",
                "//users",
                "/Users",
                "/user",
                "/v1/users",
                "/api/v1/users",
                "/v2/users",
                "/rest/users",
                "/api/users/",
                "/api/user",
                "/users.json",
                "/api//users",
                "/accounts",
            )
        ),
        *(
            at(path, "/users/@self")
            for path in (
                "/users/@me",
                "/users/@SELF",
                "/users/@self/",
                "/users//@self",
                "/me",
                "/users/me",
                "/users/self",
                "/api/me",
                "/self",
                "/@self",
                "/whoami",
                "/users/@self.json",
                "/users/{@self}",
                "/user/@self",
            )
        ),
        *(
            at(path, "/users/auth", "POST", NEW)
            for path in (
                "/login",
                "/auth",
                "/auth/login",
                "/users/login",
                "/token",
                "/oauth/token",
                "/users/auth/",
                "/api/login",
                "/users/@auth",
                "/api/auth",
                "/users/token",
                "/sessions",
            )
        ),
        *(
            at(path, "/users/@self", "POST", NEW)
            for path in ("/register", "/users/register", "/signup", "/users/create", "/users/@me")
        ),
        at("/users/auth", "POST"),
        at("/users/auth?username=alice", "POST"),
        at(f"/users/{k.uuid}/", "/users/{uuid}"),
        at(f"/users/{k.uuid}/presence", "/docs"),
        at(f"/user/{k.uuid}", "/users/{uuid}"),
        at(f"/users/uuid/{k.uuid}", "/docs"),
        at(f"/users%2F{k.uuid}", "%2F"),
        at("/users/@self/session", "/users/@self/sessions"),
        at("/users/@self/sessions/current", "@current", "DELETE"),
        at("/users/@self/key", "/users/@self/keys"),
        at("/users/@self/guild", "/users/@self/guilds"),
        at("/users/@self/status", "/docs"),
        at("/server", "/servers"),
        at("/guild", "/guilds"),
        at("/guilds/1/member", "/guilds/{id}/members"),
        at("/profile/alice", "/profiles/{user}"),
        at("/health", "/health/ready"),
        at("/healthz", "/health"),
        at("/swagger", "/docs"),
        at("/api/docs", "/docs"),
        at("/openapi.yaml", "/openapi.json"),
        at("/swagger.json", "/openapi.json"),
        at("/api/openapi.json", "/openapi.json"),
        at("/openrpc.json", "/rpc/openrpc.json"),
        at("/jwks.json", "/.well-known/jwks.json"),
        at("/.well-known/openid-configuration", "/.well-known/jwks.json"),
        at("/errors/user-not-fund", "/errors/user-not-found"),
        at("/Users/@self/Presence", "/users/@self/presence"),
        at("/nothing/of/the/kind", "/docs"),
        at("/users", "GET", "PATCH", {}),
        at("/users", "POST", "PUT", {}),
        at(f"/users/{k.uuid}", "PUT", "PATCH", {"admin": 0}),
        at(f"/users/{k.uuid}", "PUT", "POST", {"admin": 0}),
        at("/users/@self", "PATCH", "PUT", {"display_name": "A"}),
        at("/users/@self", "PATCH", "DELETE"),
        at("/users/@self", "Write PATCH in capitals", "patch", {"display_name": "A"}),
        at("/users/@self/presence", "PATCH", "PUT", "ONLINE"),
        at("/users/@self/presence", "PATCH", "POST", "ONLINE"),
        at("/users/@self/password", "PUT", "POST", {}),
        at("/users/@self/password", "PUT", "PATCH", {}),
        at("/users/@self/token", "POST"),
        at("/users/@self/sessions", "DELETE", "POST", {}),
        at("/health/ready", "GET", "POST", {}),
        at("/docs", "GET", "POST", {}),
        at("/users", "GET", "TRACE"),
        at("/users", "GET", "BREW"),
    ]


def headers(k: Known) -> list[Mistake]:
    """Conditions, idempotency keys, preflights and bodies where none is read."""

    def conditional(what: str, says: str, if_match: str) -> Mistake:
        return Mistake(
            what,
            says,
            call(
                "admin.users.update",
                {"uuid": k.uuid, "display_name": "A", "if_match": if_match},
                auth=k.key,
            ),
            sent(
                "PUT",
                f"/users/{k.uuid}",
                {"display_name": "A"},
                headers={"X-Access-Token": k.key, "If-Match": if_match},
            ),
        )

    def idempotent(what: str, says: str, key: str) -> Mistake:
        pairs = {"Idempotency-Key": key}
        return Mistake(
            what,
            says,
            rpc(SIGN_UP, headers=pairs),
            sent("POST", "/users/@self", NEW, headers=pairs),
        )

    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }

    def preflight(what: str, says: str, origin: str) -> Mistake:
        pairs = {"Origin": origin, **asked}
        return Mistake(
            what,
            says,
            sent("OPTIONS", "/rpc", headers=pairs),
            sent("OPTIONS", "/users/@self", headers=pairs),
        )

    return [
        conditional("If-Match without quotes", "double quotes", "1-1"),
        conditional("If-Match in single quotes", "double quotes", "'1-1'"),
        conditional("If-Match with a quote missing", "double quotes", '"1-1'),
        conditional("a weak tag in If-Match", "W/", 'W/"1-1"'),
        conditional("an old tag in If-Match", "read it again", '"1-0"'),
        conditional("an empty If-Match", "double quotes", ""),
        Mistake(
            "If-Match null",
            "string",
            call("admin.users.update", {"uuid": k.uuid, "if_match": None}, auth=k.key),
        ),
        Mistake(
            "If-None-Match: * for an account that exists",
            "If-None-Match",
            rest=sent(
                "PUT",
                f"/users/{k.uuid}",
                {"display_name": "A"},
                headers={"X-Access-Token": k.key, "If-None-Match": "*"},
            ),
        ),
        Mistake(
            "If-None-Match without quotes",
            "double quotes",
            rest=sent(
                "PUT",
                f"/users/{k.uuid}",
                {"display_name": "A"},
                headers={"X-Access-Token": k.key, "If-None-Match": "1-1"},
            ),
        ),
        idempotent("an Idempotency-Key that is too long", "255", "x" * 256),
        idempotent("an Idempotency-Key with blanks", "255", "a b"),
        idempotent("an empty Idempotency-Key", "255", ""),
        preflight(
            "a page of an origin that is not listed",
            "GATEHOUSE_CORS_ORIGINS=https://app.example",
            "https://app.example",
        ),
        preflight("a page of a local file", "local files", "null"),
        Mistake(
            "a body where none is read",
            "does not accept a body",
            rest=sent(
                "DELETE", f"/users/{NO_USER}", {"reason": "spam"}, headers={"X-Access-Token": k.key}
            ),
        ),
        Mistake(
            "the body as a query",
            "body",
            rest=sent("POST", "/users/@self?username=newcomer", headers={}),
        ),
        Mistake(
            "the password in the query",
            "body",
            rest=sent("POST", "/users/auth?username=alice&password=secret", NEW),
        ),
        Mistake(
            "a form of a page of another origin",
            "GATEHOUSE_CORS_ORIGINS",
            rest=sent(
                "POST",
                "/users/auth",
                b"username=alice&password=x",
                media="application/x-www-form-urlencoded",
                headers={"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
            ),
        ),
    ]


def collection(known: Known) -> dict[str, list[Mistake]]:
    """All mistakes by subject."""
    return {
        "Content types": content_types(),
        "JSON": json_texts(),
        "JSON-RPC envelopes": envelopes(known),
        "JSON-RPC methods": methods(),
        "Parameters and members": members(known),
        "Identifiers": names_of_accounts(known),
        "Credentials": credentials(known),
        "Paths and methods": routes(known),
        "Headers, conditions and CORS": headers(known),
    }
