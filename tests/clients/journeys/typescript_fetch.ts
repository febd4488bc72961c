// Uses the client that openapi-generator's `typescript-fetch` generates from our OpenAPI document.

import assert from "node:assert/strict";
import {
  AnyoneApi, ChatUserApi, Configuration, PanelAdminApi, Presence, type Problem, ProblemFromJSON,
  ResponseError, Status,
} from "../build/typescript-fetch/index.js";

const [basePath, key, name] = process.argv.slice(2) as [string, string, string];
const password = "correct horse battery";

async function problemOf(refused: Promise<unknown>): Promise<Problem> {
  const error = await refused.then(() => undefined, (reason: unknown) => reason);
  assert(error instanceof ResponseError);
  return ProblemFromJSON(await error.response.json());
}

async function signUp(api: AnyoneApi): Promise<string> {
  const account = { username: name, password };
  const user = await api.usersCreate({ createUser: account });
  console.log(`registered ${user.username}`);
  const again = await problemOf(api.usersCreate({ createUser: account }));
  console.log(`a second time: ${again.code}`);
  const check = await api.usersCheckRaw({ user: name });
  console.log(`exists: ${check.raw.status}`);
  return (await api.usersAuth({ authenticate: account })).token;
}

async function chat(api: ChatUserApi): Promise<void> {
  assert.equal((await api.usersSelf()).presence, null);
  const presence = await api.usersPresenceSet({ setPresence: { presence: Presence.Online } });
  console.log(`${presence} in ${(await api.usersGuilds()).length} guilds`);
}

async function administer(api: PanelAdminApi): Promise<void> {
  const users = Object.values(await api.adminUsersList());
  assert(users.some((user) => user.username === "admin" && user.admin === 1));

  const first = { username: `${name}-1`, email: `${name}-1@example.com`, admin: 0 };
  const made = await api.adminUsersCreateRaw({ adminCreateUser: first });
  assert(made.raw.headers.get("Location")?.startsWith("/users/"));
  console.log(`created ${first.username}: ${made.raw.status}`);

  const second = { username: `${name}-2`, email: `${name}-2@example.com` };
  const prefer = "return=representation";
  const shown = await api.adminUsersCreateRaw({ adminCreateUser: second, prefer });
  const { uuid, username, password: generated } = await shown.value();
  assert(generated);
  console.log(`created ${username}: ${shown.raw.status}`);

  const found = await api.adminUsersGetRaw({ user: uuid });
  assert.deepEqual((await found.value()).servers, []);
  const ifMatch = found.raw.headers.get("ETag") ?? "";
  const change = { user: uuid, adminUpdateUser: { email: `${name}-3@example.com` }, ifMatch };
  const changed = await api.adminUsersUpdateRaw(change);
  console.log(`changed: ${changed.raw.status}`);
  const late = await problemOf(api.adminUsersUpdate(change));
  console.log(`on the old version: ${late.code}`);

  await api.adminUsersDisable({ user: uuid });
  const user = (await api.adminUsersList({ status: Status.Disabled }))[uuid];
  assert.deepEqual([user?.disabled, user?.email], [1, `${name}-3@example.com`]);
  console.log(`disabled ${user?.username}`);
}

const token = await signUp(new AnyoneApi(new Configuration({ basePath })));
// An `accessToken` would be sent for OAuth 2.0 as well, there without `Bearer`.
await chat(new ChatUserApi(new Configuration({ basePath, apiKey: token })));
await administer(new PanelAdminApi(new Configuration({ basePath, apiKey: key })));
