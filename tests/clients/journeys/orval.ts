// Uses the client that orval generates from our OpenAPI document, on the platform's `fetch`.
//
//     orval --input http://127.0.0.1:8000/openapi.json --output orval.ts --client fetch

import assert from "node:assert/strict";
import {
  adminUsersCreate, adminUsersDisable, adminUsersGet, adminUsersList, adminUsersUpdate, Presence,
  Status, usersAuth, usersCheck, usersCreate, usersGuilds, usersPresenceSet, usersSelf,
} from "../build/orval.js";

const [baseUrl, key, name] = process.argv.slice(2) as [string, string, string];
const password = "correct horse battery";

// It asks for paths, as a page of the gateway's own origin does.
const { fetch } = globalThis;
globalThis.fetch = (path, init) => fetch(new URL(path as string, baseUrl), init);

async function signUp(): Promise<string> {
  const account = { username: name, password };
  const user = await usersCreate(account);
  assert(user.status === 201);
  console.log(`registered ${user.data.username}`);
  const again = await usersCreate(account);
  assert(again.status === 409 || again.status === 400);
  console.log(`a second time: ${again.data.code}`);
  console.log(`exists: ${(await usersCheck(name)).status}`);
  const login = await usersAuth(account);
  assert(login.status === 200);
  return login.data.token;
}

async function chat(me: RequestInit): Promise<void> {
  const self = await usersSelf(me);
  assert(self.status === 200 && self.data.presence === null);
  const presence = await usersPresenceSet({ presence: Presence.ONLINE }, me);
  const guilds = await usersGuilds(me);
  assert(guilds.status === 200);
  console.log(`${presence.data} in ${guilds.data.length} guilds`);
}

async function administer(headers: Record<string, string>): Promise<void> {
  const list = await adminUsersList({}, { headers });
  assert(list.status === 200);
  const users = Object.values(list.data);
  assert(users.some((user) => user.username === "admin" && user.admin === 1));

  const first = { username: `${name}-1`, email: `${name}-1@example.com`, admin: 0 };
  const made = await adminUsersCreate(first, { headers });
  assert(made.headers.get("Location")?.startsWith("/users/"));
  console.log(`created ${first.username}: ${made.status}`);

  const second = { username: `${name}-2`, email: `${name}-2@example.com` };
  const prefer = { headers: { ...headers, Prefer: "return=representation" } };
  const shown = await adminUsersCreate(second, prefer);
  assert(shown.status === 201 && shown.data.password);
  const { uuid, username } = shown.data;
  console.log(`created ${username}: ${shown.status}`);

  const found = await adminUsersGet(uuid, { headers });
  assert(found.status === 200);
  assert.deepEqual(found.data.servers, []);
  const condition = { headers: { ...headers, "If-Match": found.headers.get("ETag") ?? "" } };
  const change = { email: `${name}-3@example.com` };
  const changed = await adminUsersUpdate(uuid, change, condition);
  console.log(`changed: ${changed.status}`);
  const late = await adminUsersUpdate(uuid, change, condition);
  assert(late.status === 412);
  console.log(`on the old version: ${late.data.code}`);

  await adminUsersDisable(uuid, { headers });
  const disabled = await adminUsersList({ status: Status.disabled }, { headers });
  assert(disabled.status === 200);
  const user = disabled.data[uuid];
  assert.deepEqual([user?.disabled, user?.email], [1, `${name}-3@example.com`]);
  console.log(`disabled ${user?.username}`);
}

const token = await signUp();
await chat({ headers: { Authorization: `Bearer ${token}` } });
await administer({ "X-Access-Token": key });
