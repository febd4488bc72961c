"""The catalog: every operation once. Both APIs, both documents and the parity check use it.

`REST_OPERATIONS` contains one more, which has no use in JSON-RPC.
"""

from app.domain import errors as e
from app.domain.policy import Access
from app.operations import (
    accounts,
    admin_audit,
    admin_credentials,
    admin_outbox,
    admin_user_lists,
    admin_users,
    credentials,
    forward_auth,
    guilds_and_servers,
    login,
    profiles,
)
from app.operations.framework.operation import EmbeddedRegistry, Group, Operation

_ANYONE, _CHAT, _ADMIN = Group.ANYONE, Group.CHAT_USER, Group.PANEL_ADMIN

_NAME = (e.InvalidUsername, e.UsernameTaken)
_EMAIL = (e.InvalidEmail, e.EmailTaken)
_UPSTREAM = (e.UpstreamFailed, e.UpstreamTimeout)

_OPERATIONS = (
    Operation(
        "users.create",
        accounts.create_user,
        Access.ANYONE,
        _ANYONE,
        (*_NAME, e.WeakPassword, e.InvalidInput, e.RegistrationClosed, e.RateLimited),
        hashes=True,
        takes_key=True,
    ),
    Operation(
        "users.auth",
        login.authenticate,
        Access.ANYONE,
        _ANYONE,
        (e.InvalidCredentials, e.AccountDisabled, e.RateLimited),
        hashes=True,
    ),
    Operation(
        "users.check",
        accounts.check_username,
        Access.ANYONE,
        _ANYONE,
        (e.RateLimited,),
        changes=False,
        run_many=accounts.check_usernames,
    ),
    Operation("users.self", accounts.get_self, Access.HOLDER, _CHAT, changes=False, cacheable=True),
    Operation(
        "users.guilds",
        accounts.list_guilds,
        Access.HOLDER,
        _CHAT,
        _UPSTREAM,
        changes=False,
        cacheable=True,
    ),
    Operation(
        "users.profile",
        profiles.get_profile,
        Access.HOLDER,
        _CHAT,
        (e.UserNotFound, e.RateLimited),
        changes=False,
    ),
    Operation(
        "users.profiles",
        profiles.get_profiles,
        Access.HOLDER,
        _CHAT,
        (e.InvalidInput, e.RateLimited),
        changes=False,
    ),
    Operation(
        "guilds.members",
        guilds_and_servers.list_members,
        Access.HOLDER,
        _CHAT,
        (e.InvalidInput, e.NotFound),
        changes=False,
        registry=EmbeddedRegistry.GUILDS,
    ),
    Operation(
        "users.presence",
        accounts.get_or_set_presence,
        Access.HOLDER,
        _CHAT,
        (e.InvalidPresence,),
        changes="presence",
        counts=False,
    ),
    Operation(
        "users.update",
        accounts.update_self,
        Access.HOLDER,
        _CHAT,
        (*_NAME, e.InvalidInput, e.RateLimited),
    ),
    Operation(
        "users.password",
        login.change_password,
        Access.HOLDER,
        _CHAT,
        (e.WrongPassword, e.WeakPassword, e.RateLimited),
        counts=False,
        hashes=True,
    ),
    Operation("users.logout", login.logout, Access.TOKEN, _CHAT, counts=False),
    Operation("users.refresh", login.refresh, Access.TOKEN, _CHAT),
    Operation("sessions.list", credentials.list_sessions, Access.HOLDER, _CHAT, changes=False),
    Operation("sessions.revoke", credentials.revoke_session, Access.HOLDER, _CHAT, counts=False),
    Operation("keys.list", credentials.list_keys, Access.HOLDER, _CHAT, changes=False),
    Operation(
        "keys.create",
        credentials.create_key,
        Access.HOLDER,
        _CHAT,
        (e.InvalidInput,),
        takes_key=True,
    ),
    Operation(
        "keys.revoke", credentials.revoke_key, Access.HOLDER, _CHAT, (e.NotFound,), counts=False
    ),
    Operation(
        "admin.users.list",
        admin_user_lists.list_users,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput,),
        changes=False,
        cacheable=True,
        run_streamed=admin_user_lists.stream_users,
    ),
    Operation(
        "admin.users.get",
        admin_users.get_user,
        Access.ADMIN,
        _ADMIN,
        (e.UserNotFound, *_UPSTREAM),
        changes=False,
    ),
    Operation(
        "admin.users.create",
        admin_users.admin_create_user,
        Access.ADMIN,
        _ADMIN,
        (*_NAME, *_EMAIL, e.WeakPassword, e.InvalidInput),
        takes_key=True,
    ),
    Operation(
        "admin.users.update",
        admin_users.admin_update_user,
        Access.ADMIN,
        _ADMIN,
        (
            *_NAME,
            *_EMAIL,
            e.WeakPassword,
            e.InvalidInput,
            e.UserNotFound,
            e.LastAdmin,
            e.PreconditionFailed,
            *_UPSTREAM,
        ),
    ),
    Operation(
        "admin.users.disable",
        admin_users.disable_user,
        Access.ADMIN,
        _ADMIN,
        (e.UserNotFound, e.LastAdmin),
    ),
    Operation(
        "admin.users.unlock", admin_users.unlock_user, Access.ADMIN, _ADMIN, (e.UserNotFound,)
    ),
    Operation(
        "admin.sessions.list",
        admin_credentials.list_user_sessions,
        Access.ADMIN,
        _ADMIN,
        (e.UserNotFound,),
        changes=False,
    ),
    Operation(
        "admin.sessions.revoke",
        admin_credentials.revoke_user_session,
        Access.ADMIN,
        _ADMIN,
        (e.UserNotFound,),
        counts=False,
    ),
    Operation(
        "admin.keys.list",
        admin_credentials.list_user_keys,
        Access.ADMIN,
        _ADMIN,
        (e.UserNotFound,),
        changes=False,
    ),
    Operation(
        "admin.keys.revoke",
        admin_credentials.revoke_user_key,
        Access.ADMIN,
        _ADMIN,
        (e.UserNotFound, e.NotFound),
        counts=False,
    ),
    Operation(
        "admin.audit.list",
        admin_audit.list_audit,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.UserNotFound),
        changes=False,
    ),
    Operation(
        "admin.outbox.list",
        admin_outbox.list_outbox,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.UserNotFound),
        changes=False,
    ),
    Operation(
        "admin.servers.list",
        guilds_and_servers.list_servers,
        Access.ADMIN,
        _ADMIN,
        changes=False,
        registry=EmbeddedRegistry.SERVERS,
    ),
    Operation(
        "admin.servers.put",
        guilds_and_servers.put_server,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.UserNotFound),
        registry=EmbeddedRegistry.SERVERS,
    ),
    Operation(
        "admin.servers.delete",
        guilds_and_servers.delete_server,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.NotFound),
        registry=EmbeddedRegistry.SERVERS,
    ),
    Operation(
        "admin.guilds.list",
        guilds_and_servers.list_all_guilds,
        Access.ADMIN,
        _ADMIN,
        changes=False,
        registry=EmbeddedRegistry.GUILDS,
    ),
    Operation(
        "admin.guilds.put",
        guilds_and_servers.put_guild,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.UserNotFound),
        registry=EmbeddedRegistry.GUILDS,
    ),
    Operation(
        "admin.guilds.delete",
        guilds_and_servers.delete_guild,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.NotFound),
        registry=EmbeddedRegistry.GUILDS,
    ),
    Operation(
        "admin.guilds.members.put",
        guilds_and_servers.put_member,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.NotFound, e.UserNotFound),
        registry=EmbeddedRegistry.GUILDS,
    ),
    Operation(
        "admin.guilds.members.delete",
        guilds_and_servers.delete_member,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.NotFound, e.UserNotFound),
        registry=EmbeddedRegistry.GUILDS,
    ),
)

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _OPERATIONS}

# The number of accounts in that list, which REST returns in a header.
COUNT_USERS = Operation(
    "admin.users.list",
    admin_user_lists.count_users,
    Access.ADMIN,
    _ADMIN,
    (e.InvalidInput,),
    changes=False,
)

# For reverse proxies, which do not use JSON-RPC; there, `users.self` identifies the user.
_VERIFY = Operation(
    "auth.verify",
    forward_auth.verify,
    Access.HOLDER,
    Group.PROXY,
    changes=False,
    cacheable=True,
)
REST_OPERATIONS: dict[str, Operation] = {**OPERATIONS, _VERIFY.name: _VERIFY}
