// Verifies tokens as a service does that uses jose at its default settings, one request a line:
// {"ahead": seconds}                  a new verifier, which fetches the key set at its first token
// {"ahead": seconds, "token": "..."}  verified by each verifier that is at most YOUNG seconds old,
//                                     or was made at a multiple of EVERY seconds
// The answer to each is a line, too: how many verified it, and why the others refused it.
//
// node verify.js URL YOUNG EVERY
import { createInterface } from "node:readline";
import { createRemoteJWKSet, jwtVerify } from "jose";

const url = new URL("/.well-known/jwks.json", process.argv[2]);
const [young, every] = process.argv.slice(3).map(Number);
const RealDate = Date;
let ahead = 0;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    given.length === 0 ? super(RealDate.now() + ahead) : super(...given);
  }
  static now() {
    return RealDate.now() + ahead;
  }
};

let verifiers = [];
for await (const line of createInterface({ input: process.stdin })) {
  const { ahead: seconds, token } = JSON.parse(line);
  ahead = seconds * 1000;
  verifiers = verifiers.filter(({ since }) => seconds - since <= young || since % every === 0);
  if (token === undefined) {
    verifiers.push({ since: seconds, keys: createRemoteJWKSet(url) });
    console.log("{}");
    continue;
  }
  const refusals = [];
  for (const { keys } of verifiers) {
    try {
      await jwtVerify(token, keys, { issuer: "gatehouse", audience: "gatehouse" });
    } catch (error) {
      refusals.push(`${error.code}: ${error.message}`);
    }
  }
  console.log(JSON.stringify({ verified: verifiers.length - refusals.length, refusals }));
}
