// Uses the client that @hey-api/openapi-ts generates from our OpenAPI document.
//
//     openapi-ts -i http://127.0.0.1:8000/openapi.json -o hey-api -c @hey-api/client-fetch

import assert from "node:assert/strict";
import { type Client, createClient, createConfig } from "../build/hey-api/client/index.js";
import {
  adminUsersCreate, adminUsersDisable, adminUsersGet, adminUsersList, adminUsersUpdate, usersAuth,
  usersCheck, usersCreate, usersGuilds, usersPresenceSet, usersSelf,
} from "../build/hey-api/sdk.gen.js";

const [baseUrl, key, name] = process.argv.slice(2) as [string, string, string];
const password = "correct horse battery";

async function signUp(client: Client): Promise<string> {
  const body = { username: name, password };
  const user = await usersCreate({ client, body });
  console.log(`registered ${user.data?.username}`);
  const again = await usersCreate({ client, body });
  console.log(`a second time: ${again.error?.code}`);
  const check = await usersCheck({ client, path: { user: name } });
  console.log(`exists: ${check.response?.status}`);
  const login = await usersAuth({ client, body });
  assert(login.data);
  return login.data.token;
}

async function chat(client: Client): Promise<void> {
  assert.equal((await usersSelf({ client })).data?.presence, null);
  const presence = await usersPresenceSet({ client, body: { presence: "ONLINE" } });
  const guilds = await usersGuilds({ client });
  console.log(`${presence.data} in ${guilds.data?.length} guilds`);
}

async function administer(client: Client): Promise<void> {
  const list = await adminUsersList({ client });
  const users = Object.values(list.data ?? {});
  assert(users.some((user) => user.username === "admin" && user.admin === 1));

  const first = { username: `${name}-1`, email: `${name}-1@example.com`, admin: 0 };
  const made = await adminUsersCreate({ client, body: first });
  assert(made.response?.headers.get("Location")?.startsWith("/users/"));
  console.log(`created ${first.username}: ${made.response?.status}`);

  const second = { username: `${name}-2`, email: `${name}-2@example.com` };
  const headers = { Prefer: "return=representation" };
  const shown = await adminUsersCreate({ client, body: second, headers });
  assert(shown.data?.password);
  const { uuid, username } = shown.data;
  console.log(`created ${username}: ${shown.response?.status}`);

  const path = { user: uuid };
  const found = await adminUsersGet({ client, path });
  assert.deepEqual(found.data?.servers, []);
  const condition = { "If-Match": found.response?.headers.get("ETag") ?? "" };
  const change = { client, path, headers: condition, body: { email: `${name}-3@example.com` } };
  const changed = await adminUsersUpdate(change);
  console.log(`changed: ${changed.response?.status}`);
  const late = await adminUsersUpdate(change);
  console.log(`on the old version: ${late.error?.code}`);

  await adminUsersDisable({ client, path });
  const disabled = await adminUsersList({ client, query: { status: "disabled" } });
  const user = disabled.data?.[uuid];
  assert.deepEqual([user?.disabled, user?.email], [1, `${name}-3@example.com`]);
  console.log(`disabled ${user?.username}`);
}

// One that sends a credential in one of the two headers: a token, or an access key.
const withHeader = (headers: Record<string, string>): Client =>
  createClient(createConfig({ baseUrl, headers }));
const token = await signUp(createClient(createConfig({ baseUrl })));
await chat(withHeader({ Authorization: `Bearer ${token}` }));
await administer(withHeader({ "X-Access-Token": key }));
