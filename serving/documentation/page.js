// Renders /openapi.json as a page with a form for each endpoint. Everything that comes from the
// service is set as text, never as markup.
"use strict";

const el = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const anchor = (method, path) => `${method}${path.replace(/[^a-z0-9]+/gi, "-").replace(/-$/, "")}`;
// Text in which backquotes mark code.
const words = (text) => text.split("`").map((part, index) => index % 2 ? el("code", {}, part) : part);
// A path that may break after each slash, and nowhere else.
const steps = (path) => path.split(/(?<=.\/)/).flatMap((part) => [part, el("wbr")]);
const age = (seconds) => {
  const [size, unit] = seconds < 90 ? [1, "s"] : seconds < 5400 ? [60, "min"]
    : seconds < 129600 ? [3600, "h"] : [86400, "days"];
  return `${Math.round(seconds / size)} ${unit}`;
};
const amount = (value) => value.toLocaleString("en",
  { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const json = async (address) => {
  const answer = await fetch(address);
  return answer.ok ? answer.json() : null;
};

let specification = null;
const KEY_HEADER = "X-Api-Key";
const key = () => document.getElementById("key").value.trim();
const resolve = (schema) => schema && schema.$ref
  ? specification.components.schemas[schema.$ref.split("/").pop()] : schema;

// The newest forecasts of one problem that answers, for the card at the top.
async function newest(health) {
  const ready = health.problems.find((problem) => problem.ready);
  return ready ? json(`/v1/forecasts/${encodeURIComponent(ready.problem)}/latest`) : null;
}

function state(health, latest) {
  const cards = document.getElementById("state");
  cards.replaceChildren();
  const reasons = (list) => list.map((reason) => el("p", { class: "quiet" }, reason));
  if (!health.problems.length || health.reasons.length) {
    cards.append(el("div", { class: "card" },
      el("div", { class: "row" }, el("strong", {}, "Service"),
        el("span", { class: `pill ${health.status}` }, health.status.replace("_", " "))),
      ...reasons(health.reasons)));
  }
  for (const problem of health.problems) {
    const forecast = latest && latest.forecasts.find((f) => f.problem === problem.problem);
    cards.append(el("div", { class: "card" },
      el("div", { class: "row" }, el("strong", {}, problem.problem),
        problem.snapshot && problem.snapshot.synthetic
          ? el("span", { class: "pill degraded", title: "made by a generator, no market's" }, "synthetic data") : null,
        el("span", { class: `pill ${problem.status}` }, problem.status.replace("_", " "))),
      ...(forecast ? shown(forecast) : []),
      problem.model && el("p", { class: "quiet" },
        `${problem.model.candidate}, version ${problem.model.version}, `
        + `fitted to data up to ${age(problem.model.refit_age_seconds)} ago`),
      problem.snapshot && el("p", { class: "quiet" },
        `data ${age(problem.snapshot.age_seconds)} old`
        + (problem.snapshot.stale ? ", stale" : "")),
      ...reasons(problem.reasons)));
  }
}

function shown(forecast) {
  const share = (forecast.point - forecast.lower) / (forecast.upper - forecast.lower || 1);
  const mark = el("i");
  mark.style.left = `calc(${100 * Math.min(1, Math.max(0, share))}% - 1.5px)`;
  return [
    el("div", { class: "big" }, amount(forecast.point), " ", el("small", {}, forecast.unit)),
    el("div", { class: "band" }, el("span"), mark),
    el("div", { class: "ends" }, el("span", {}, amount(forecast.lower)),
      el("span", {}, `${Math.round(forecast.nominal_coverage * 100)} % band`),
      el("span", {}, amount(forecast.upper))),
    el("p", { class: "quiet" },
      `${forecast.series}, valid at ${forecast.valid_time.replace("T", " ").replace(/(:00)?Z$/, " UTC")}`),
  ];
}

function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const many = schema.anyOf || schema.oneOf;
  if (many) return many.map(kind).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `${kind(schema.items)}[]`;
  return schema.format || schema.type || "object";
}

function schemaTable(schema) {
  const resolved = resolve(schema);
  const rows = Object.entries((resolved && resolved.properties) || {});
  if (!rows.length) return null;
  const must = new Set(resolved.required || []);
  return el("table", {},
    el("thead", {}, el("tr", {}, ...["Field", "Type", "Meaning"].map((t) => el("th", {}, t)))),
    el("tbody", {}, ...rows.map(([name, property]) => el("tr", {},
      el("td", {}, el("code", {}, name), must.has(name) ? "" : el("span", { class: "quiet" }, " ?")),
      el("td", { class: "quiet" }, kind(property)),
      el("td", {}, ...words(property.description || ""))))));
}

// All schemas that an answer or body is made of, outermost first.
function reachable(schema, found = new Map()) {
  if (!schema || typeof schema !== "object") return found;
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    if (!found.has(name)) { found.set(name, schema); reachable(resolve(schema), found); }
  }
  for (const part of [...(schema.anyOf || []), ...(schema.oneOf || []), schema.items,
    ...Object.values(schema.properties || {})]) reachable(part, found);
  return found;
}

function schemas(title, schema) {
  const tables = [...reachable(schema)].map(([name, reference]) => [name, schemaTable(reference)])
    .filter(([, table]) => table);
  if (!tables.length) return null;
  return el("details", { class: "schema" }, el("summary", {}, title),
    ...tables.flatMap(([name, table]) => [el("h4", {}, name), table]));
}

function coloured(text) {
  const pre = el("pre");
  const token = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/g;
  let end = 0;
  for (const match of text.matchAll(token)) {
    pre.append(text.slice(end, match.index));
    const name = match[2] !== undefined ? "key" : match[1] !== undefined ? "text" : "number";
    pre.append(el("span", { class: name }, match[1] !== undefined ? match[1] : match[3]));
    if (match[2] !== undefined) pre.append(match[2]);
    end = match.index + match[0].length;
  }
  pre.append(text.slice(end));
  return pre;
}

function field(parameter) {
  const schema = parameter.schema || {};
  // The document holds live values as examples, so that every one of them works.
  const value = parameter.example ?? (schema.examples || [])[0] ?? schema.default ?? "";
  const input = el("input", { name: parameter.name, value, autocomplete: "off" });
  const label = el("label", {},
    el("span", {}, el("span", { class: "name" }, parameter.name),
      parameter.required ? el("span", { class: "must", title: "required" }, " *") : "",
      el("span", { class: "quiet" }, `  ${parameter.in}${parameter.description ? ", " : ""}`,
        ...words(parameter.description || ""))),
    input);
  return { parameter, input, label };
}

function requestOf(method, path, fields, body) {
  let address = path;
  const query = new URLSearchParams();
  const headers = body ? { "Content-Type": "application/json" } : {};
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") {
      address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    } else if (input.value !== "") {
      if (parameter.in === "header") headers[parameter.name] = input.value;
      else query.set(parameter.name, input.value);
    }
  }
  if ([...query].length) address += `?${query}`;
  return { address, options: { method: method.toUpperCase(), headers, ...(body ? { body: body.value } : {}) } };
}

function curlOf({ address, options }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [`curl -s ${quoted(`${location.origin}${address}`)}`];
  if (!["GET", options.body ? "POST" : "GET"].includes(options.method)) parts.push(`-X ${options.method}`);
  // The command may be passed on, so it names the key's place and not the key.
  if (key()) parts.push(`-H "${KEY_HEADER}: $API_KEY"`);
  for (const [name, value] of Object.entries(options.headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (options.body) {
    let body = options.body;
    try { body = JSON.stringify(JSON.parse(body)); } catch { /* shown as it is being typed */ }
    parts.push(`-d ${quoted(body)}`);
  }
  return parts.join(" \\\n  ");
}

async function sendTo(request, target, button) {
  button.disabled = true;
  const start = performance.now();
  try {
    const headers = { ...request.options.headers, ...(key() ? { [KEY_HEADER]: key() } : {}) };
    const answer = await fetch(request.address, { ...request.options, headers });
    const text = await answer.text();
    const took = performance.now() - start;
    let pretty = text;
    if ((answer.headers.get("content-type") || "").includes("json")) {
      pretty = JSON.stringify(JSON.parse(text), null, 2);
    }
    const told = [...answer.headers].filter(([name]) => name.startsWith("x-"));
    target.replaceChildren(el("h4", {}, "Answer"),
      el("div", { class: "row" },
        el("span", { class: `pill s${String(answer.status)[0]}` }, String(answer.status)),
        el("span", { class: "quiet" }, `${took.toFixed(1)} ms`),
        ...told.map(([name, value]) => el("code", { class: "quiet" }, `${name}: ${value}`))),
      coloured(pretty));
  } catch (error) {
    target.replaceChildren(el("h4", {}, "Answer"), el("p", { class: "s5" }, `No answer: ${error.message}`));
  }
  button.disabled = false;
}

function bodyForm(operation) {
  const media = operation.requestBody && operation.requestBody.content["application/json"];
  if (!media) return null;
  const examples = Object.values(media.examples || {});
  const text = (example) => JSON.stringify(example.value, null, 2);
  const area = el("textarea", { spellcheck: "false", "aria-label": "body" });
  area.value = examples.length ? text(examples[0]) : "{}";
  const choice = el("select", { "aria-label": "example",
    onchange: () => { area.value = text(examples[choice.selectedIndex]); area.dispatchEvent(new Event("input", { bubbles: true })); } },
  ...examples.map((example) => el("option", {}, example.summary || "example")));
  return { area, node: el("div", {}, el("h4", {}, "Body"), examples.length > 1 ? el("label", {}, choice) : null, area) };
}

function endpoint(method, path, operation) {
  const fields = (operation.parameters || []).map(field);
  const form = bodyForm(operation);
  const target = el("div", { class: "answer", "aria-live": "polite" });
  const line = el("pre");
  const request = () => requestOf(method, path, fields, form && form.area);
  const refresh = () => { line.textContent = curlOf(request()); };
  const button = el("button", { type: "button", onclick: () => sendTo(request(), target, button) }, "Send");
  const copy = el("button", { type: "button", class: "plain",
    onclick: () => { navigator.clipboard.writeText(line.textContent); copy.textContent = "Copied"; } }, "Copy");
  const answers = Object.entries(operation.responses).filter(([status]) => status.startsWith("2"));
  const schema = answers.map(([, answer]) => Object.values(answer.content || {})[0]).filter(Boolean)
    .map((media) => media.schema)[0];
  const body = el("div", { class: "body" },
    ...(operation.description || "").split(/\n\s*\n/).map((paragraph) => el("p", {}, ...words(paragraph))),
    fields.length ? el("h4", {}, "Parameters") : null, ...fields.map((f) => f.label),
    form && form.node,
    el("div", { class: "curl" }, line, copy), el("p", {}, button), target,
    form && schemas("Fields of the body", operation.requestBody.content["application/json"].schema),
    schemas("Fields of the answer", schema));
  body.addEventListener("input", refresh);
  document.getElementById("key").addEventListener("input", refresh);
  refresh();
  return el("details", { class: "endpoint", id: anchor(method, path) },
    el("summary", {}, el("span", { class: `method ${method}` }, method.toUpperCase()),
      el("span", { class: "path" }, path), el("span", { class: "quiet" }, operation.summary || "")), body);
}

function render() {
  document.title = specification.info.title;
  document.getElementById("brand").textContent = specification.info.title;
  document.getElementById("title").textContent = specification.info.title;
  document.getElementById("description").textContent = specification.info.description || "";
  const groups = new Map();
  for (const [path, methods] of Object.entries(specification.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([method, path, operation]);
    }
  }
  const index = document.getElementById("index");
  const all = document.getElementById("endpoints");
  all.replaceChildren();
  for (const [tag, operations] of groups) {
    index.append(el("h2", {}, tag), ...operations.map(([method, path]) =>
      el("a", { href: `#${anchor(method, path)}` },
        el("span", { class: `method ${method}` }, method.toUpperCase()), el("span", {}, ...steps(path)))));
    all.append(el("section", { class: "group" }, el("h2", {}, tag),
      ...operations.map((operation) => endpoint(...operation))));
  }
  document.querySelector(".endpoint").open = true;
  open();
}

function open() {
  const chosen = location.hash && document.getElementById(location.hash.slice(1));
  if (chosen && chosen.tagName === "DETAILS") chosen.open = true;
  if (chosen) chosen.scrollIntoView();
}

async function start() {
  const [document_, health] = await Promise.all([json("/openapi.json"), json("/health")]);
  specification = document_;
  if (!specification || !health) {
    document.getElementById("endpoints").replaceChildren(el("p", {},
      "The service does not describe itself to this page; open it as localhost or 127.0.0.1."));
    return;
  }
  const latest = await newest(health);
  state(health, latest);
  render();
}

window.addEventListener("hashchange", open);
start();
