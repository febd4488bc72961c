// Uses openapi-fetch with the types that openapi-typescript makes of our OpenAPI document.
//
//     openapi-typescript http://127.0.0.1:8000/openapi.json -o gatehouse.d.ts \
//         --default-non-nullable=false

import assert from "node:assert/strict";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "../build/gatehouse.js";

type Gatehouse = Client<paths>;
type Problem = components["schemas"]["Problem"];

const [baseUrl, key, name] = process.argv.slice(2) as [string, string, string];
const password = "correct horse battery";

async function signUp(anyone: Gatehouse): Promise<string> {
  const body = { username: name, password };
  const first = await anyone.POST("/users/@self", { body });
  assert(first.data);
  console.log(`registered ${first.data.username}`);

  const again = await anyone.POST("/users/@self", { body });
  assert.equal(again.error?.code, "username-taken" satisfies Problem["code"]);
  console.log(`a second time: ${again.error?.code}`);

  const check = await anyone.HEAD("/users/{user}", { params: { path: { user: name } } });
  console.log(`exists: ${check.response.status}`);
  const login = await anyone.POST("/users/auth", { body });
  assert(login.data);
  return login.data.token;
}

async function chat(me: Gatehouse): Promise<void> {
  const self = await me.GET("/users/@self");
  assert.equal(self.data?.presence, null);
  const presence = await me.PATCH("/users/@self/presence", { body: { presence: "ONLINE" } });
  const guilds = await me.GET("/users/@self/guilds");
  console.log(`${presence.data} in ${guilds.data?.length} guilds`);
}

async function administer(panel: Gatehouse): Promise<void> {
  const list = await panel.GET("/users");
  const users = Object.values(list.data ?? {});
  assert(users.some((user) => user.username === "admin" && user.admin === 1));

  const first = { username: `${name}-1`, email: `${name}-1@example.com`, admin: 0 };
  const made = await panel.POST("/users", { body: first });
  assert(made.response.headers.get("Location")?.startsWith("/users/"));
  console.log(`created ${first.username}: ${made.response.status}`);

  const second = { username: `${name}-2`, email: `${name}-2@example.com` };
  const prefer = { header: { Prefer: "return=representation" } };
  const shown = await panel.POST("/users", { params: prefer, body: second });
  assert(shown.data?.password);
  const { uuid, username } = shown.data;
  console.log(`created ${username}: ${shown.response.status}`);

  const path = { user: uuid };
  const found = await panel.GET("/users/{user}", { params: { path } });
  assert.deepEqual(found.data?.servers, []);
  const header = { "If-Match": found.response.headers.get("ETag") ?? "" };
  const change = { params: { path, header }, body: { email: `${name}-3@example.com` } };
  const changed = await panel.PUT("/users/{user}", change);
  console.log(`changed: ${changed.response.status}`);
  const late = await panel.PUT("/users/{user}", change);
  console.log(`on the old version: ${late.error?.code}`);

  const gone = await panel.DELETE("/users/{user}", { params: { path } });
  assert.equal(gone.response.status, 204);
  const disabled = await panel.GET("/users", { params: { query: { status: "disabled" } } });
  const user = disabled.data?.[uuid];
  assert.deepEqual([user?.disabled, user?.email], [1, `${name}-3@example.com`]);
  console.log(`disabled ${user?.username}`);
}

const token = await signUp(createClient<paths>({ baseUrl }));
await chat(createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } }));
await administer(createClient<paths>({ baseUrl, headers: { "X-Access-Token": key } }));
