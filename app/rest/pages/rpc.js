// Shows the OpenRPC document and sends what is typed. Text only ever becomes text nodes.

import { LANGUAGES, TOKEN } from "./samples.js";

// The path of the server's public URL, with a slash at its end.
const BASE = new URL("..", import.meta.url).pathname;

const $ = (id) => document.getElementById(id);
const WIDE = matchMedia("(min-width: 62rem)");

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity));
  return element;
}

const code = (text) => h("code", {}, text);
const block = (label, ...children) => h("pre", { role: "group", "aria-label": label, tabindex: "0" }, children);
const prose = (text) =>
  text.split(/\n{2,}/).map((part) => h("p", {}, part.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))/).map(marked)));

// The Markdown of the document: code, strong text and links.
function marked(piece) {
  const [, label, href] = /^\[([^\]]+)\]\((\/[^)]*)\)$/.exec(piece) ?? [];
  if (href) return h("a", { href }, label);
  if (piece.startsWith("**")) return h("strong", {}, piece.slice(2, -2));
  return piece.startsWith("`") ? code(piece.slice(1, -1)) : piece;
}

// ---------------------------------------------------------------------------- JSON, to look at

const pretty = (value) => JSON.stringify(value, null, 2);
const TOKENS = /"(?:\\.|[^"\\])*"|-?\d[\d.eE+-]*|true|false|null/g;

function coloured(json) {
  const parts = [];
  let end = 0;
  for (const { 0: token, index } of json.matchAll(TOKENS)) {
    parts.push(json.slice(end, index));
    end = index + token.length;
    const kind = token[0] !== '"' ? "word" : json[end] === ":" ? "key" : "string";
    parts.push(h("span", { class: kind }, token));
  }
  return [...parts, json.slice(end)];
}

// ------------------------------------------------------------------------- a request, to look at

const address = () => ($("problem").checked ? `${BASE}rpc?errors=problem` : `${BASE}rpc`);
const inCalls = (body, change) => (Array.isArray(body) ? body.map(change) : change(body));

// The methods that need a credential.
const guarded = new Set();
const withToken = (call) => (call.auth || guarded.has(call.method) ? { ...call, auth: TOKEN } : call);
// No credential on the screen or in the shell's history.
const veiled = (call) => (call.auth ? { ...call, auth: `${call.auth.slice(0, 8)}…` } : call);

// Returns the text of a request, and what its reader has to know.
function asProgram({ program, run }, body) {
  const calls = inCalls(body, withToken);
  const needsToken = [calls].flat().some((call) => call.auth === TOKEN);
  const note = run ? ["Save it under this name, and run it: ", code(run), ". "] : [];
  if (needsToken) {
    note.push(code("$TOKEN"), " is an environment variable with your token or access key, set with ",
      code("export TOKEN='…'"), ". ", h("a", { href: "#users.auth" }, "users.auth"), " returns a token.");
  }
  return { text: [program(location.origin + address(), calls, needsToken)], note };
}

const LOOKS = {
  JSON: (body) => ({ text: coloured(pretty(inCalls(body, veiled))), note: [] }),
  ...Object.fromEntries(Object.entries(LANGUAGES).map(([name, language]) => [name, (body) => asProgram(language, body)])),
};
let look = "JSON";
const redraws = [];
const redraw = () => redraws.forEach((draw) => draw());

// What `read` gives, as it goes over the wire; kept in step with every field of the page.
function requestView(read) {
  const shown = code("");
  const note = h("p", { class: "note" });
  const copy = h("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(shown.textContent);
    copy.textContent = "Copied";
  } }, "Copy");
  const choice = h("select", { "aria-label": "Show the request as", oninput: () => { look = choice.value; redraw(); } },
    Object.keys(LOOKS).map((name) => h("option", {}, name)));
  redraws.push(() => {
    choice.value = look;
    copy.textContent = "Copy";
    const body = read();
    if (!body) return;
    const { text, note: said } = LOOKS[look](body);
    shown.replaceChildren(...text);
    note.replaceChildren(...said);
  });
  return [
    h("div", { class: "heading" }, h("h4", {}, "Request"),
      // Browsers give the clipboard to pages from https or from the machine itself alone.
      h("span", {}, choice, navigator.clipboard ? copy : "")),
    block("Request", shown), note];
}

// --------------------------------------------------------------------------- a reply, to look at

function replyView() {
  const said = h("p", { role: "status" });
  const shown = code("");
  const use = h("p");
  const view = h("div", { class: "reply" },
    h("h4", {}, "Reply"), said, block("Reply", shown), use);
  const say = (text, kind) => { said.textContent = text; said.className = kind; };
  const show = (json) => shown.replaceChildren(...coloured(json));
  const forget = () => { shown.replaceChildren(); use.replaceChildren(); };

  async function send(body) {
    forget();
    say("Waiting…", "");
    const started = performance.now();
    try {
      const response = await fetch(address(), {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
      const text = await response.text();
      const took = `HTTP ${response.status} in ${Math.round(performance.now() - started)} ms`;
      const reply = parsed(text);
      const failure = response.ok ? failureIn(reply) : reply?.detail ?? "That is no JSON-RPC.";
      say(failure ? `${took}. ${failure}` : text ? took : `${took}. No reply, as asked.`, failure ? "failed" : "done");
      show(reply === undefined ? text : pretty(reply));
      offer(reply);
    } catch (error) {
      say(`No answer: ${error.message}`, "failed");
    }
  }

  function offer(reply) {
    const slug = reply?.error?.data?.code;
    if (slug) use.append("What to do: ", errorLink(slug));
    const results = [reply].flat().map((one) => one?.result);
    const credential = results.map((result) => result?.token ?? result?.key).find(Boolean);
    if (!credential) return;
    use.append(h("button", { type: "button", onclick: () => {
      $("auth").value = credential;
      redraw();
      use.replaceChildren("The other calls of this page use it now.");
    } }, "Use it for the other calls"));
  }

  return { view, say, show, send, forget };
}

const errorLink = (slug) => h("a", { href: `${BASE}errors/${slug}` }, slug);

// What a proxy says is often no JSON.
function parsed(text) {
  try { return JSON.parse(text); }
  catch { return undefined; }
}

// Both dialects of errors: a sentence as data, or a problem object, or neither.
function failureIn(reply) {
  if (!Array.isArray(reply)) {
    const error = reply?.error;
    return error && `Error ${error.code}: ${error.data?.detail ?? error.data ?? error.message}`;
  }
  const failed = reply.filter((one) => one.error).length;
  return failed ? `${failed} of ${reply.length} failed.` : undefined;
}

// -------------------------------------------------------------------------------------- to try

function tryPanel(method) {
  const [example] = method.examples ?? [];
  const names = method.params.map((param) => param.name);
  const values = Object.fromEntries((example?.params ?? []).map((param) => [param.name, param.value]));
  const reply = replyView();
  if (example) {
    reply.say("An example; a call shows the real one.", "");
    reply.show(pretty({ jsonrpc: "2.0", id: 1, result: example.result.value }));
  }
  const params = h("textarea", { name: "params", rows: String(2 + Math.max(1, Object.keys(values).length)), spellcheck: "false" },
    names.length ? pretty(values) : "");
  const notification = h("input", { type: "checkbox" });
  const positional = h("input", { type: "checkbox", oninput: () => {
    try { params.value = pretty((positional.checked ? toPositions : toNames)(JSON.parse(params.value || "{}"), names)); }
    catch { /* what is no JSON yet stays as it is */ }
  } });

  function read() {
    const call = { jsonrpc: "2.0", method: method.name, auth: null };
    if (method["x-credential"] !== "none") call.auth = $("auth").value || null;
    if (params.value.trim()) call.params = JSON.parse(params.value);
    return notification.checked ? call : { ...call, id: 1 };
  }
  const withCall = (then) => {
    let call;
    try { call = read(); }
    catch (error) {
      reply.forget();
      reply.say(`The parameters are not JSON: ${error.message}`, "failed");
      return;
    }
    then(call);
  };
  const request = requestView(() => {
    try {
      const call = read();
      params.removeAttribute("aria-invalid");
      return call;
    } catch {
      params.setAttribute("aria-invalid", "true");
      return undefined;
    }
  });
  const form = h("form",
    {
      oninput: redraw,
      onsubmit: (event) => { event.preventDefault(); withCall(reply.send); },
      onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); },
    },
    names.length ? h("label", {}, "Parameters, as JSON", params) : "",
    h("p", { class: "choices" },
      names.length ? h("label", { class: "choice" }, positional, " by position") : "",
      h("label", { class: "choice" }, notification, " as a notification")),
    h("p", { class: "buttons" },
      h("button", { type: "submit", class: "main", "aria-keyshortcuts": "Control+Enter" }, "Call"),
      h("button", { type: "button", onclick: () => withCall(addToBatch) }, "Add to batch")));
  return h("details", { class: "try" }, h("summary", {}, "Try it"), form, request, reply.view);
}

const toNames = (value, names) =>
  Array.isArray(value) ? Object.fromEntries(value.map((one, i) => [names[i] ?? i, one])) : value;

function toPositions(value, names) {
  if (Array.isArray(value)) return value;
  const last = Math.max(-1, ...Object.keys(value).map((name) => names.indexOf(name)));
  return names.slice(0, last + 1).map((name) => value[name] ?? null);
}

// --------------------------------------------------------------------------------------- batch

let batch = [];
const batchReply = replyView();
$("batch").querySelector("details").append(
  h("div", { class: "sides" }, h("div", {}, requestView(() => batch)), batchReply.view));

function addToBatch(call) {
  const id = 1 + Math.max(0, ...batch.map((other) => other.id ?? 0));
  showBatch([...batch, "id" in call ? { ...call, id } : call]);
}

function showBatch(calls) {
  batch = calls;
  $("batch").hidden = !calls.length;
  $("batch-title").textContent = calls.length === 1 ? "A batch of one call" : `A batch of ${calls.length} calls`;
  $("batch-calls").replaceChildren(...calls.map((call) => h("li", {}, code(call.method),
    "id" in call ? ` with the id ${call.id} ` : " as a notification ",
    h("button", { type: "button", "aria-label": `Remove ${call.method}`, onclick: () => showBatch(calls.filter((other) => other !== call)) }, "Remove"))));
  batchReply.forget();
  batchReply.say("Calls are done in their order.", "");
  redraw();
}

$("send-batch").addEventListener("click", async () => {
  $("batch").querySelector("details").open = true;
  await batchReply.send(batch);
  batchReply.view.scrollIntoView({ block: "nearest" });
});
$("clear-batch").addEventListener("click", () => showBatch([]));

// ------------------------------------------------------------------------------------- to read

const nameIn = (schema) => schema.$ref.split("/").pop();

// A name if it has members to look up, else the type behind it.
function typeOf(schema, schemas) {
  if (schema.$ref) {
    const target = schemas[nameIn(schema)];
    return target.properties ? nameIn(schema) : typeOf(target, schemas);
  }
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return either.map((part) => typeOf(part, schemas)).join(" | ");
  if (schema.type === "array") return `array of ${typeOf(schema.items, schemas)}`;
  if (schema.additionalProperties) return `map to ${typeOf(schema.additionalProperties, schemas)}`;
  return [schema.type, schema.format].filter(Boolean).join(", ");
}

// The schema with members that a result is made of, if there is one.
function named(schema, schemas) {
  const target = schema.$ref ? schemas[nameIn(schema)] : schema;
  const inner = target.items ?? target.additionalProperties;
  return target.properties || !inner?.$ref ? target : named(inner, schemas);
}

function members(rows, schemas) {
  return h("ul", { class: "members" }, rows.map((row) =>
    h("li", {}, code(row.name), " ",
      h("span", { class: "type" }, typeOf(row.schema, schemas), row.required ? "" : ", optional"),
      row.description ? prose(row.description) : "")));
}

function resultView({ schema }, schemas) {
  const part = named(schema, schemas);
  const rows = Object.entries(part.properties ?? {}).map(([name, inner]) =>
    ({ name, schema: inner, required: part.required.includes(name) }));
  return [
    h("h4", {}, "Result ", h("span", { class: "type" }, typeOf(schema, schemas))),
    part.description ? prose(part.description) : "",
    rows.length ? members(rows, schemas) : ""];
}

function methodView(method, schemas) {
  return h("article", { id: method.name, "data-text": `${method.name} ${method.summary} ${method.description}`.toLowerCase() },
    h("div", { class: "read" },
      h("h3", {}, h("a", { href: `#${method.name}` }, method.name)),
      h("p", { class: "summary" }, `${method.summary}.`),
      prose(method.description),
      h("p", { class: "needs" }, "Credential: ", h("strong", {}, method["x-credential"])),
      h("h4", {}, method.params.length ? "Parameters, in their order" : "No parameters"),
      method.params.length ? members(method.params, schemas) : "",
      resultView(method.result, schemas),
      h("details", {}, h("summary", {}, `Errors (${method.errors.length})`),
        h("ul", { class: "members" }, method.errors.map((error) =>
          h("li", {}, code(String(error.code)), ` ${error.message} `, error.data ? errorLink(error.data.code) : ""))))),
    tryPanel(method));
}

function show(openrpc) {
  const schemas = openrpc.components.schemas;
  const groups = new Map();
  for (const method of openrpc.methods) {
    const [{ name, description }] = method.tags;
    if (!groups.has(name)) groups.set(name, { name, description, methods: [] });
    groups.get(name).methods.push(method);
    if (method["x-credential"] !== "none") guarded.add(method.name);
  }
  $("about").replaceChildren(...prose(openrpc.info.description),
    h("p", { class: "type" },
      "See also ", h("a", { href: `${BASE}rpc/openrpc.json` }, "the OpenRPC document"), ", ", h("a", { href: `${BASE}docs` }, "the REST API"), " and ", h("a", { href: `${BASE}handbook/` }, "the handbook"), ". ",
      h("span", { class: "keys" }, h("kbd", {}, "/"), " finds a method, ", h("kbd", {}, "Ctrl"), " ", h("kbd", {}, "Enter"), " calls it.")));
  $("methods").replaceChildren();
  for (const { name, description, methods } of groups.values()) {
    $("contents").append(h("section", {}, h("h2", {}, name),
      h("ul", {}, methods.map((method) => h("li", { "data-for": method.name }, h("a", { href: `#${method.name}` }, method.name))))));
    $("methods").append(h("section", {}, h("h2", {}, name, " ", h("small", {}, description)),
      methods.map((method) => methodView(method, schemas))));
  }
}

// ------------------------------------------------------------------------------------- to find

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const articles = [...document.querySelectorAll("article")];
  for (const article of articles) {
    article.hidden = !words.every((word) => article.dataset.text.includes(word));
    document.querySelector(`[data-for="${article.id}"]`).hidden = article.hidden;
  }
  for (const section of document.querySelectorAll("#methods > section, #contents > section")) {
    section.hidden = !section.querySelector("article:not([hidden]), [data-for]:not([hidden])");
  }
  const found = articles.filter((article) => !article.hidden).length;
  $("found").textContent = words.length ? `${found} of ${articles.length}` : "";
  $("no-match").hidden = found > 0;
  scrollTo(0, 0);
}

function goToFirst(event) {
  event.preventDefault();
  const first = document.querySelector("article:not([hidden])");
  if (!first) return;
  location.hash = first.id;
  first.querySelector("a").focus({ preventScroll: true });
}

$("filter").addEventListener("input", filter);
$("clear-search").addEventListener("click", () => { $("filter").value = ""; filter(); $("filter").focus(); });
$("find").addEventListener("submit", goToFirst);
$("settings").addEventListener("submit", (event) => event.preventDefault());
$("settings").addEventListener("input", redraw);
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, textarea")) return;
  event.preventDefault();
  $("filter").focus();
});

// Where there is room all is open; where there is little, one opens what one wants.
const unfold = () => {
  for (const details of document.querySelectorAll("#contents, .try")) details.open = WIDE.matches;
};

try {
  const response = await fetch(`${BASE}rpc/openrpc.json`);
  show(await response.json());
  filter(); // what was typed before
  unfold();
  WIDE.addEventListener("change", unfold);
  redraw();
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
} catch (error) {
  $("methods").replaceChildren(h("p", { class: "failed", role: "alert" }, `The OpenRPC document cannot be read: ${error.message}`));
}
