"""Every operation, named once. Both doors, both documents and the parity check come from here.

`REST_OPERATIONS` has one more, which the chat's door has no use for.
"""

from app.domain import errors as e
from app.domain.policy import Access
from app.usecases import (
    accounts,
    admin_audit,
    admin_credentials,
    admin_outbox,
    admin_registry,
    admin_users,
    credentials,
    forward_auth,
    login,
)
from app.usecases.operation import Group, Operation, Registry

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
        run_each=accounts.check_usernames,
    ),
    Operation("users.self", accounts.get_self, Access.HOLDER, _CHAT, changes=False, lasting=True),
    Operation(
        "users.guilds",
        accounts.list_guilds,
        Access.HOLDER,
        _CHAT,
        _UPSTREAM,
        changes=False,
        lasting=True,
    ),
    Operation(
        "users.presence",
        accounts.presence,
        Access.HOLDER,
        _CHAT,
        (e.InvalidPresence,),
        changes="presence",
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
        (e.InvalidCredentials, e.WeakPassword, e.RateLimited),
        hashes=True,
    ),
    Operation("users.logout", login.logout, Access.TOKEN, _CHAT),
    Operation("users.refresh", login.refresh, Access.TOKEN, _CHAT),
    Operation("sessions.list", credentials.list_sessions, Access.HOLDER, _CHAT, changes=False),
    Operation("sessions.revoke", credentials.revoke_session, Access.HOLDER, _CHAT),
    Operation("keys.list", credentials.list_keys, Access.HOLDER, _CHAT, changes=False),
    Operation("keys.create", credentials.create_key, Access.HOLDER, _CHAT, (e.InvalidInput,)),
    Operation("keys.revoke", credentials.revoke_key, Access.HOLDER, _CHAT, (e.NotFound,)),
    Operation(
        "admin.users.list",
        admin_users.list_users,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput,),
        changes=False,
        lasting=True,
        lists_accounts=True,
        run_in_pieces=admin_users.stream_users,
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
    ),
    Operation(
        "admin.audit.list",
        admin_audit.list_audit,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput,),
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
        admin_registry.list_servers,
        Access.ADMIN,
        _ADMIN,
        changes=False,
        registry=Registry.SERVERS,
    ),
    Operation(
        "admin.servers.put",
        admin_registry.put_server,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.UserNotFound),
        registry=Registry.SERVERS,
    ),
    Operation(
        "admin.servers.delete",
        admin_registry.delete_server,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.NotFound),
        registry=Registry.SERVERS,
    ),
    Operation(
        "admin.guilds.list",
        admin_registry.list_all_guilds,
        Access.ADMIN,
        _ADMIN,
        changes=False,
        registry=Registry.GUILDS,
    ),
    Operation(
        "admin.guilds.put",
        admin_registry.put_guild,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.UserNotFound),
        registry=Registry.GUILDS,
    ),
    Operation(
        "admin.guilds.delete",
        admin_registry.delete_guild,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.NotFound),
        registry=Registry.GUILDS,
    ),
    Operation(
        "admin.guilds.members.put",
        admin_registry.put_member,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.NotFound, e.UserNotFound),
        registry=Registry.GUILDS,
    ),
    Operation(
        "admin.guilds.members.delete",
        admin_registry.delete_member,
        Access.ADMIN,
        _ADMIN,
        (e.InvalidInput, e.NotFound, e.UserNotFound),
        registry=Registry.GUILDS,
    ),
)

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _OPERATIONS}

# It answers a proxy, which speaks no JSON-RPC; there, `users.self` tells who somebody is.
_VERIFY = Operation(
    "auth.verify",
    forward_auth.verify,
    Access.HOLDER,
    Group.PROXY,
    changes=False,
    lasting=True,
)
REST_OPERATIONS: dict[str, Operation] = {**OPERATIONS, _VERIFY.name: _VERIFY}
