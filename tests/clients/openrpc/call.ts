// Calls with the client that @open-rpc/generator makes of our OpenRPC document.

import assert from "node:assert/strict";
import Gatehouse from "../build/openrpc/client/typescript/src/index.js";
import type { ChatUser, UsersCheck, UsersCreate } from "../build/openrpc/typings.js";

const [url] = process.argv.slice(2);
const { hostname, port } = new URL(url!);
const api = new Gatehouse({ transport: { type: "http", host: hostname, port: Number(port), path: "/rpc" } });

const create: UsersCreate = api["users.create"];
const check: UsersCheck = api["users.check"];

assert.equal(await check("rpcscripter"), false);
const user: ChatUser = await create("rpcscripter", "correct horse battery");
assert.equal(await check("RPCscripter"), true);
console.log(`registered ${user.username}, ${user.id}`);
