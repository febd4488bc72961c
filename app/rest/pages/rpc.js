// Shows the OpenRPC document and sends what is typed. Text only ever becomes text nodes.

const $ = (id) => document.getElementById(id);
const ENDPOINT = "/rpc";
const batch = [];

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat());
  return element;
}

const prose = (text) =>
  text.split(/\n{2,}/).map((part) =>
    h("p", {}, ...part.split("`").map((piece, i) => (i % 2 ? h("code", {}, piece) : piece))));

const pretty = (value) => JSON.stringify(value, null, 2);
const block = (text, label) => h("pre", { tabindex: "0", "aria-label": label }, h("code", {}, text));

const nameIn = (schema) => schema.$ref.split("/").pop();

// A name where there are members to look up, else what stands behind the name.
function typeOf(schema, schemas) {
  if (schema.$ref) {
    const target = schemas[nameIn(schema)];
    return target.properties ? nameIn(schema) : typeOf(target, schemas);
  }
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  for (const kind of ["anyOf", "oneOf"]) {
    if (schema[kind]) return schema[kind].map((part) => typeOf(part, schemas)).join(" | ");
  }
  if (schema.type === "array") return `array of ${typeOf(schema.items ?? {}, schemas)}`;
  if (schema.type === "object" && schema.additionalProperties?.$ref) {
    return `map to ${typeOf(schema.additionalProperties, schemas)}`;
  }
  return [schema.type ?? "anything", schema.format].flat().filter(Boolean).join(", ");
}

// The schema with members that a result is made of, if there is one.
function named(schema, schemas) {
  const target = schema.$ref ? schemas[nameIn(schema)] : schema;
  const inner = target.items ?? target.additionalProperties;
  return target.properties || !inner?.$ref ? target : named(inner, schemas);
}

function members(rows, schemas, caption) {
  if (!rows.length) return h("p", { class: "none" }, "No parameters.");
  return h("table", {}, h("caption", {}, caption), h("tbody", {}, rows.map((row) =>
    h("tr", {},
      h("th", { scope: "row" }, h("code", {}, row.name), row.required ? "" : h("span", { class: "optional" }, " optional")),
      h("td", {}, h("code", {}, typeOf(row.schema, schemas)), row.description ? h("div", {}, ...prose(row.description)) : "")))));
}

function resultView(result, schemas) {
  const schema = named(result.schema, schemas);
  const shown = [h("p", {}, h("code", {}, typeOf(result.schema, schemas)))];
  if (schema.properties) {
    const required = new Set(schema.required ?? []);
    const rows = Object.entries(schema.properties).map(([name, part]) => ({ name, schema: part, required: required.has(name) }));
    shown.push(members(rows, schemas, "Its members"));
  }
  return shown;
}

const curl = (address, body) =>
  `curl -s '${location.origin}${address}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(body).replaceAll("'", `'\\''`)}'`;

async function send(body, outcome) {
  const address = ENDPOINT + ($("problem").checked ? "?errors=problem" : "");
  outcome.replaceChildren(
    h("h4", {}, "Request"), block(pretty(body), "Request as JSON"), block(curl(address, body), "Request as curl"),
    h("p", { role: "status" }, "Waiting…"));
  const started = performance.now();
  let told;
  try {
    const response = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const text = await response.text();
    const ms = Math.round(performance.now() - started);
    const failed = !response.ok || /"error":\{/.test(text);
    let shown = text;
    try { shown = pretty(JSON.parse(text)); } catch { /* an empty or foreign answer is shown as it is */ }
    told = [h("h4", { class: failed ? "failed" : "done", role: "status" }, `HTTP ${response.status}, ${ms} ms`), block(shown || "(no body)", "Reply")];
  } catch (error) {
    told = [h("h4", { class: "failed", role: "status" }, `No answer: ${error.message}`)];
  }
  outcome.lastChild.remove();
  outcome.append(...told);
}

let lastId = 0;

function readCall(method, form) {
  const call = { jsonrpc: "2.0", method: method.name };
  if (form.auth.checked && $("auth").value) call.auth = $("auth").value;
  const text = form.params.value.trim();
  if (text) call.params = JSON.parse(text);
  if (!form.notification.checked) call.id = ++lastId;
  return call;
}

function tryForm(method) {
  const example = Object.fromEntries((method.examples?.[0]?.params ?? []).map((p) => [p.name, p.value]));
  const hasParams = method.params.length > 0;
  const outcome = h("div", { class: "outcome" });
  const withCall = (then) => {
    try { then(readCall(method, form)); }
    catch (error) { outcome.replaceChildren(h("p", { class: "failed", role: "alert" }, `The parameters are not JSON: ${error.message}`)); }
  };
  const byPosition = () => {
    try {
      const value = JSON.parse(form.params.value || "{}");
      if (Array.isArray(value)) form.params.value = pretty(Object.fromEntries(value.map((v, i) => [method.params[i]?.name ?? i, v])));
      else {
        const names = method.params.map((p) => p.name);
        const last = Math.max(-1, ...Object.keys(value).map((name) => names.indexOf(name)));
        form.params.value = pretty(names.slice(0, last + 1).map((name) => value[name] ?? null));
      }
    } catch { /* what is no JSON yet stays as it is */ }
  };
  const form = h("form", { onsubmit: (event) => { event.preventDefault(); withCall((call) => send(call, outcome)); } },
    hasParams
      ? h("label", {}, "Parameters, as JSON", h("textarea", { name: "params", rows: String(Math.min(10, 2 + Object.keys(example).length)), spellcheck: "false" }, pretty(example)))
      : h("input", { type: "hidden", name: "params" }),
    h("p", { class: "choices" },
      h("label", { class: "inline" }, h("input", { type: "checkbox", name: "auth", checked: method["x-credential"] !== "none" }), " with the credential above"),
      h("label", { class: "inline" }, h("input", { type: "checkbox", name: "notification" }), " as a notification")),
    h("p", {},
      h("button", { type: "submit" }, "Call"), " ",
      h("button", { type: "button", onclick: () => withCall(addToBatch) }, "Add to batch"), " ",
      hasParams ? h("button", { type: "button", onclick: byPosition }, "By name / by position") : ""));
  return h("details", { class: "try" }, h("summary", {}, "Try it"), form, outcome);
}

function addToBatch(call) {
  batch.push(call);
  showBatch();
  $("batch").scrollIntoView({ block: "nearest" });
}

function showBatch() {
  $("batch").hidden = !batch.length;
  $("batch-calls").replaceChildren(block(pretty(batch), "The batch as JSON"));
  $("batch-outcome").replaceChildren();
}

function methodView(method, schemas) {
  const [example] = method.examples ?? [];
  const request = { jsonrpc: "2.0", method: method.name, auth: method["x-credential"] === "none" ? null : "********",
    params: Object.fromEntries((example?.params ?? []).map((p) => [p.name, p.value])), id: 1 };
  return h("article", { id: method.name, "data-text": `${method.name} ${method.summary} ${method.description}`.toLowerCase() },
    h("h3", {}, h("a", { href: `#${method.name}` }, method.name)),
    h("p", { class: "summary" }, method.summary),
    prose(method.description ?? ""),
    h("p", { class: "needs" }, "Credential: ", h("strong", {}, method["x-credential"])),
    members(method.params, schemas, "Parameters, in their order"),
    h("h4", {}, "Result"), resultView(method.result, schemas),
    h("details", {}, h("summary", {}, `Errors (${method.errors.length})`),
      h("table", {}, h("tbody", {}, method.errors.map((e) =>
        h("tr", {}, h("th", { scope: "row" }, h("code", {}, String(e.code))), h("td", {}, e.message, e.data?.code ? [" ", h("code", {}, e.data.code)] : "")))))),
    example ? h("details", {}, h("summary", {}, "Example"),
      block(pretty(request), "Example request"), block(pretty({ jsonrpc: "2.0", id: 1, result: example.result.value }), "Example reply")) : "",
    tryForm(method));
}

function show(openrpc) {
  const schemas = openrpc.components?.schemas ?? {};
  const groups = Map.groupBy ? Map.groupBy(openrpc.methods, (m) => m.tags[0].name)
    : openrpc.methods.reduce((found, m) => found.set(m.tags[0].name, [...(found.get(m.tags[0].name) ?? []), m]), new Map());
  $("about").replaceChildren(...prose(openrpc.info.description));
  $("contents").replaceChildren(...[...groups].map(([group, methods]) =>
    h("section", {}, h("h2", {}, group), h("ul", {}, methods.map((m) => h("li", { "data-for": m.name }, h("a", { href: `#${m.name}` }, m.name)))))));
  $("methods").replaceChildren(...[...groups].map(([group, methods]) =>
    h("section", {}, h("h2", {}, group, " ", h("small", {}, methods[0].tags[0].description ?? "")), methods.map((m) => methodView(m, schemas)))));
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const article of document.querySelectorAll("article")) {
    article.hidden = !words.every((word) => article.dataset.text.includes(word));
    document.querySelector(`[data-for="${article.id}"]`).hidden = article.hidden;
  }
  for (const section of document.querySelectorAll("#methods > section, #contents > section")) {
    section.hidden = !section.querySelector("article:not([hidden]), li:not([hidden])");
  }
}

$("settings").addEventListener("submit", (event) => event.preventDefault());
$("filter").addEventListener("input", filter);
$("send-batch").addEventListener("click", () => send(batch, $("batch-outcome")));
$("clear-batch").addEventListener("click", () => { batch.length = 0; showBatch(); });

try {
  const response = await fetch("/rpc/openrpc.json");
  show(await response.json());
} catch (error) {
  $("methods").replaceChildren(h("p", { class: "failed", role: "alert" }, `The OpenRPC document cannot be read: ${error.message}`));
}
