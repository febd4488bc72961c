// Validates an OpenRPC document as the tools of open-rpc.org do, at their default settings.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { parseOpenRPCDocument, validateOpenRPCDocument } from "@open-rpc/schema-utils-js";

const text = readFileSync(process.argv[2], "utf8");
assert.equal(validateOpenRPCDocument(JSON.parse(text)), true);
const { methods } = await parseOpenRPCDocument(text);
console.log(`${methods.length} methods`);
