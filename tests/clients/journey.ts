// What openapi-fetch can do with the types that openapi-typescript makes of our OpenAPI document.
//
//     openapi-typescript http://127.0.0.1:8000/openapi.json -o gatehouse.d.ts \
//         --default-non-nullable=false
//     tsc && node build/journey.js http://127.0.0.1:8000 ACCESS-KEY
//
// `make clients` does so with a server of its own.

import assert from "node:assert/strict";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./gatehouse.js";

type Gatehouse = Client<paths>;
type Problem = components["schemas"]["Problem"];

const username = "scripter";
const password = "correct horse battery";

async function signUp(anyone: Gatehouse): Promise<void> {
  const first = await anyone.POST("/users/@self", { body: { username, password } });
  assert(first.data);
  console.log(`registered ${first.data.username}, ${first.data.id}`);

  const { error } = await anyone.POST("/users/@self", { body: { username, password } });
  assert(error);
  assert.equal(error.code, "username-taken" satisfies Problem["code"]);
  console.log(`a second time: ${error.code}: ${error.detail}`);
}

async function logIn(anyone: Gatehouse): Promise<string> {
  const { data } = await anyone.POST("/users/auth", { body: { username, password } });
  assert(data);
  console.log(`logged in ${data.user_id}`);
  return data.token;
}

async function beThere(me: Gatehouse): Promise<void> {
  const self = await me.GET("/users/@self");
  assert.deepEqual([self.data?.username, self.data?.presence], [username, null]);

  const presence = await me.PATCH("/users/@self/presence", { body: "ONLINE" });
  assert.equal(presence.data, "ONLINE");
  const guilds = await me.GET("/users/@self/guilds");
  assert(guilds.data);
  console.log(`online, in ${guilds.data.length} guilds`);
}

async function administer(panel: Gatehouse): Promise<void> {
  const list = await panel.GET("/users");
  assert(list.data);
  const users = Object.values(list.data);
  assert(users.some((user) => user.username === "admin" && user.admin === 1));
  console.log(`listed ${users.map((user) => user.username).join(", ")}`);

  const created = await panel.POST("/users", {
    params: { header: { Prefer: "return=representation" } },
    body: { username: "gophers", email: "gophers@example.com", admin: 0 },
  });
  assert(created.data);
  const { uuid } = created.data;
  console.log(`created ${created.data.username}, ${uuid}, with a password of its own`);

  const path = { user: uuid };
  const found = await panel.GET("/users/{user}", { params: { path } });
  assert.deepEqual(found.data?.servers, []);
  const header = { "If-Match": found.response.headers.get("ETag") ?? "" };

  const change = { params: { path, header }, body: { email: "moles@example.com" } };
  const changed = await panel.PUT("/users/{user}", change);
  assert.equal(changed.response.status, 204);
  const late = await panel.PUT("/users/{user}", change);
  assert.equal(late.error?.code, "precondition-failed");
  console.log(`changed, and on the old version once more: ${late.error.status}, ${late.error.detail}`);

  const gone = await panel.DELETE("/users/{user}", { params: { path } });
  assert.equal(gone.response.status, 204);
  const disabled = await panel.GET("/users", { params: { query: { status: "disabled" } } });
  assert.equal(disabled.data?.[uuid]?.disabled, 1);
  console.log(`disabled ${disabled.data[uuid].username}`);
}

const [baseUrl, key] = process.argv.slice(2);
const anyone = createClient<paths>({ baseUrl });
await signUp(anyone);
const headers = { Authorization: `Bearer ${await logIn(anyone)}` };
await beThere(createClient<paths>({ baseUrl, headers }));
await administer(createClient<paths>({ baseUrl, headers: { "X-Access-Token": key } }));
