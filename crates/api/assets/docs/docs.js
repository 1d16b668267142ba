// Draws the two documents of this server as one page: REST operations by group, commands, events, shapes, error codes.
// Plain DOM and text nodes: nothing of a document is ever read as HTML.

const SHAPE = "#/components/schemas/";

// An element with attributes and children; null children are left out.
function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

// Text with `code` in it.
function prose(text) {
  return (text ?? "").split(/(`[^`]+`)/).map((part) =>
    part.length > 2 && part.startsWith("`") && part.endsWith("`") ? h("code", {}, part.slice(1, -1)) : part);
}

function paragraphs(text) {
  const parts = (text ?? "").split("\n\n").filter(Boolean);
  const list = parts.filter((part) => part.startsWith("- "));
  return [
    ...parts.filter((part) => !part.startsWith("- ")).map((part) => h("p", {}, prose(part))),
    list.length ? h("ul", {}, list.map((part) => h("li", {}, prose(part.slice(2))))) : null,
  ];
}

const slug = (...parts) => parts.join("-").replace(/[^A-Za-z0-9._-]+/g, "-");
const shapeName = (reference) => reference.slice(reference.lastIndexOf("/") + 1);

// A type in a few words, with links to the shapes that it names.
function typeOf(schema) {
  if (!schema || Object.keys(schema).length === 0) return ["anything"];
  if (schema.$ref) {
    const name = shapeName(schema.$ref);
    return [h("a", { href: `#${slug("shape", name)}` }, name.replace("_", " of "))];
  }
  if ("const" in schema) return [JSON.stringify(schema.const)];
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" | ")];
  for (const [key, sign] of [["oneOf", " | "], ["anyOf", " | "], ["allOf", " & "]]) {
    if (schema[key]) return schema[key].flatMap((part, at) => (at ? [sign, ...typeOf(part)] : typeOf(part)));
  }
  const types = Array.isArray(schema.type) ? schema.type : [schema.type];
  return types.flatMap((type, at) => [
    ...(at ? [" | "] : []),
    ...(type === "array" ? ["list of ", ...typeOf(schema.items)]
      : type === "object" && schema.additionalProperties
        ? ["map to ", ...typeOf(schema.additionalProperties)]
        : [type === "string" && schema.format ? schema.format : type ?? "anything"]),
  ]);
}

// What a value may be beyond its type.
function bounds(schema) {
  const named = [
    ["minLength", "at least", "characters"], ["maxLength", "at most", "characters"],
    ["minimum", "from", ""], ["maximum", "to", ""], ["maxItems", "at most", "items"],
  ];
  const said = named.filter(([key]) => key in schema && !(key === "minimum" && schema[key] === 0))
    .map(([key, word, unit]) => `${word} ${schema[key]}${unit ? ` ${unit}` : ""}`);
  const text = said.join(", ");
  return text ? `${text[0].toUpperCase()}${text.slice(1)}. ` : "";
}

function row(name, schema, description, optional) {
  return h("tr", {},
    h("td", {}, h("span", { class: "field" }, name), optional ? h("span", { class: "optional" }, " optional") : null),
    h("td", { class: "type" }, typeOf(schema)),
    h("td", {}, bounds(schema ?? {}), prose(description)));
}

function table(rows) {
  return h("table", {},
    h("thead", {}, h("tr", {}, ["name", "type", ""].map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, rows));
}

// Required fields first, what tells a thing apart before all.
function ordered(schema) {
  const required = new Set(schema.required ?? []);
  const rank = (name) => (["type", "id", "ref"].includes(name) ? 0 : required.has(name) ? 1 : 2);
  return Object.keys(schema.properties ?? {})
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
    .map((name) => [name, schema.properties[name], !required.has(name)]);
}

// The fields of a shape, in place.
function fields(schema) {
  if (!schema) return null;
  if (schema.properties) {
    const rows = ordered(schema).map(([name, property, optional]) => row(name, property, property.description, optional));
    return table(rows);
  }
  const meanings = schema["x-enum-descriptions"];
  if (meanings) {
    const statuses = schema["x-http-statuses"];
    return h("table", {},
      h("thead", {}, h("tr", {}, ["code", "status", ""].map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, schema.enum.map((code) => h("tr", {}, h("td", {}, h("code", {}, code)),
        h("td", { class: "status" }, String(statuses[code])), h("td", {}, prose(meanings[code]))))));
  }
  if (schema.enum) return h("p", { class: "values" }, schema.enum.map((value) => h("code", {}, String(value))));
  const parts = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (parts && parts.some((part) => part.properties)) {
    const joint = schema.allOf ? "and" : "or";
    return h("div", {}, parts.flatMap((part, at) => [
      at ? h("h5", {}, joint) : null,
      part.description ? h("p", {}, prose(part.description)) : null,
      part.properties ? fields(part) : h("p", {}, typeOf(part)),
    ]));
  }
  return h("p", {}, h("span", { class: "type" }, typeOf(schema)));
}

function resolve(doc, schema) {
  // A body that may be left out is a shape or nothing.
  const shape = schema?.oneOf?.find((part) => part.$ref);
  if (shape && schema.oneOf.length === 2 && schema.oneOf.some((part) => part.type === "null")) return resolve(doc, shape);
  return schema?.$ref?.startsWith(SHAPE) ? doc.components.schemas[shapeName(schema.$ref)] : schema;
}

// A body or a reply: its name, and its fields to unfold.
function unfold(doc, title, schema, open = false) {
  const target = resolve(doc, schema);
  return [
    h("h5", {}, prose(title)),
    h("details", { open }, h("summary", {}, h("code", {}, typeOf(schema))), fields(target)),
  ];
}

function example(name, value) {
  return h("details", {}, h("summary", {}, "Example: ", name.replaceAll("_", " ")),
    h("pre", {}, h("code", {}, JSON.stringify(value, null, 2))));
}

function entry(kind, id, label, summary, ...content) {
  return h("article", { id, "data-kind": kind, "data-label": label },
    h("h4", {}, h("span", { class: `method ${kind}` }, kind), h("a", { href: `#${id}` }, h("code", {}, label))),
    ...paragraphs(summary), ...content);
}

function operation(doc, path, method, operation) {
  const verb = method.toUpperCase();
  const parameters = (operation.parameters ?? []).map((parameter) =>
    row(parameter.name, parameter.schema, parameter.description, !parameter.required));
  const body = operation.requestBody?.content?.["application/json"];
  const answers = Object.entries(operation.responses).filter(([status]) => status !== "default");
  return entry(verb, slug("rest", verb, path), path, operation.summary,
    operation.security ? null : h("p", {}, h("span", { class: "tag" }, "no sign-in needed")),
    parameters.length ? [h("h5", {}, "Parameters"), table(parameters)] : null,
    body ? unfold(doc, operation.requestBody.required ? "Body" : "Body, optional", body.schema, true) : null,
    Object.entries(body?.examples ?? {}).map(([name, { value }]) => example(name, value)),
    answers.map(([status, answer]) => {
      const content = Object.values(answer.content ?? {})[0];
      const title = `${status}: ${answer.description}`;
      return content ? unfold(doc, title, content.schema) : h("h5", {}, prose(title));
    }));
}

function rest(doc) {
  const groups = new Map(doc.tags.map((tag) => [tag.name, { ...tag, entries: [] }]));
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const [method, said] of Object.entries(item)) {
      groups.get(said.tags[0])?.entries.push(operation(doc, path, method, said));
    }
  }
  return h("section", { "aria-labelledby": "rest" },
    h("h2", { id: "rest" }, "REST"), ...paragraphs(doc.info.description),
    [...groups.values()].map((group) => h("section", { "data-group": group.name },
      h("h3", { class: "group", id: slug("group", group.name) }, group.name), h("p", {}, group.description), group.entries)));
}

function socket(doc) {
  const commands = [];
  const events = [];
  for (const [name, said] of Object.entries(doc.operations)) {
    const message = doc.components.messages[name];
    if (said.action === "receive") {
      const reply = doc.components.messages[`${name}.reply`].payload.oneOf[0].properties.data;
      commands.push(entry("COMMAND", slug("command", name), name, said.summary,
        unfold(doc, "Fields", message.payload.allOf[1], true),
        message.examples.map(({ name: title, payload }) => example(title, payload)),
        unfold(doc, "Reply", reply)));
    } else {
      events.push(entry("EVENT", slug("event", name), name, said.summary, unfold(doc, "Frame", message.payload)));
    }
  }
  return h("section", { "aria-labelledby": "socket" },
    h("h2", { id: "socket" }, "Socket"), ...paragraphs(doc.channels.ws.description), ...paragraphs(doc.info.description),
    h("section", { "data-group": "commands" }, h("h3", { class: "group", id: "group-commands" }, "commands"),
      h("p", {}, "From client to server, each with its reply."), commands),
    h("section", { "data-group": "events" }, h("h3", { class: "group", id: "group-events" }, "events"),
      h("p", {}, "From server to client."), events));
}

function codes(doc) {
  const schema = doc.components.schemas.ErrorCode;
  return h("section", { "aria-labelledby": "codes", "data-group": "codes" }, h("h2", { id: "codes" }, "Error codes"),
    h("p", {}, "What programs match on; the texts beside them are for people."),
    h("article", { id: "error-codes", "data-kind": "", "data-label": "all codes" }, fields(schema)));
}

function shapes(openapi, asyncapi) {
  const all = { ...asyncapi.components.schemas, ...openapi.components.schemas };
  const entries = Object.keys(all).sort().map((name) =>
    h("article", { id: slug("shape", name), "data-kind": "", "data-label": name.replace("_", " of ") },
      h("h4", {}, h("a", { href: `#${slug("shape", name)}` }, h("code", {}, name.replace("_", " of ")))),
      ...paragraphs(all[name].description), fields(all[name])));
  return h("section", { "aria-labelledby": "shapes", "data-group": "shapes" }, h("h2", { id: "shapes" }, "Shapes"),
    h("p", {}, "What bodies, answers, frames and events are made of."), entries);
}

// A path or a name that may be broken where it has a joint.
function breakable(text) {
  return text.split(/(?<=[/.])/).flatMap((part, at) => (at ? [h("wbr"), part] : [part]));
}

function contents(main) {
  const lists = [...main.querySelectorAll("[data-group]")].map((group) => {
    const title = group.querySelector("h2, h3");
    return h("div", { "data-list": group.dataset.group }, h("h2", {}, h("a", { href: `#${title.id}` }, title.textContent)),
      h("ul", {}, [...group.querySelectorAll(":scope > article")].map((article) =>
        h("li", { "data-of": article.id }, h("a", { href: `#${article.id}` },
          article.dataset.kind && !["COMMAND", "EVENT"].includes(article.dataset.kind)
            ? h("span", { class: `method ${article.dataset.kind}` }, article.dataset.kind.replace("DELETE", "DEL"))
            : null,
          h("span", {}, breakable(article.dataset.label.replace(/^\/v1/, ""))))))));
  });
  document.getElementById("contents").replaceChildren(...lists);
}

// Hides what has not all of the words somewhere in it.
function filter(main, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const article of main.querySelectorAll("article")) {
    article.dataset.text ??= `${article.dataset.kind} ${article.textContent}`.toLowerCase();
    article.hidden = !wanted.every((word) => article.dataset.text.includes(word));
    if (!article.hidden) shown += 1;
    const line = document.querySelector(`[data-of="${CSS.escape(article.id)}"]`);
    if (line) line.hidden = article.hidden;
  }
  for (const group of main.querySelectorAll("[data-group]")) {
    group.hidden = wanted.length > 0 && !group.querySelector("article:not([hidden])");
    document.querySelector(`[data-list="${CSS.escape(group.dataset.group)}"]`).hidden = group.hidden;
  }
  const status = document.getElementById("status");
  status.hidden = wanted.length === 0;
  status.textContent = shown === 0 ? "Nothing has all of these words." : `${shown} found.`;
}

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function start() {
  const main = document.getElementById("content");
  const status = document.getElementById("status");
  try {
    const [openapi, asyncapi] = await Promise.all([read("openapi.json"), read("asyncapi.json")]);
    main.append(rest(openapi), socket(asyncapi), codes(openapi), shapes(openapi, asyncapi));
    contents(main);
    status.hidden = true;
  } catch (error) {
    status.textContent = `The documents could not be read (${error.message}).`;
    return;
  }
  const input = document.getElementById("filter");
  input.addEventListener("input", () => filter(main, input.value));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== input) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape" && document.activeElement === input) {
      input.value = "";
      filter(main, "");
    }
  });
  // What was asked for was not there yet when the browser looked for it.
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

start();
