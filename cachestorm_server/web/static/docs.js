// Draws /openapi.json. Everything is put in as text, never as markup.
"use strict";

const make = (name, text, kind) => {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
};

const table = (heads, rows) => {
  const node = make("table");
  const head = node.createTHead().insertRow();
  for (const each of heads) {
    const cell = make("th", each);
    cell.scope = "col";
    head.append(cell);
  }
  const body = node.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const each of row) line.insertCell().textContent = each;
  }
  return node;
};

const range = (schema) => {
  const inner = schema.items || schema;
  const type = [].concat(inner.type || "").join(", ");
  return "minimum" in inner ? `${type}, ${inner.minimum} to ${inner.maximum}` : type;
};

const operation = (method, path, facts) => {
  const block = make("details", undefined, "operation");
  const head = make("summary");
  head.append(make("b", method), make("code", path), make("span", facts.summary));
  block.append(head);
  const rows = (facts.parameters || []).map((each) => [each.name, each.in, range(each.schema), each.description || ""]);
  if (rows.length) block.append(make("h4", "Parameters"), table(["Name", "In", "Type", "Meaning"], rows));
  const answers = Object.entries(facts.responses).map(([status, each]) => [status, each.description]);
  block.append(make("h4", "Answers"), table(["Status", "Meaning"], answers));
  block.dataset.words = `${method} ${path} ${facts.summary}`.toLowerCase();
  return block;
};

const command = (schema) => {
  const block = make("details", undefined, "operation");
  const head = make("summary");
  head.append(make("code", schema.properties.command.const), make("span", schema.description));
  const names = Object.keys(schema.properties).filter((name) => name !== "command" && name !== "namespace");
  block.append(head, make("pre", schema["x-syntax"]));
  block.append(table(["Argument", "Required"], names.map((name) => [name, schema.required.includes(name) ? "yes" : ""])));
  block.dataset.words = `${schema.properties.command.const} ${schema.description}`.toLowerCase();
  return block;
};

const draw = (spec) => {
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const [method, facts] of Object.entries(item)) {
      const group = facts.tags[0];
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(operation(method.replace("x-", "").toUpperCase(), path, facts));
    }
  }
  const place = document.getElementById("paths");
  for (const [group, blocks] of groups) place.append(make("h2", group), ...blocks);
  place.append(make("h2", "commands by name, for POST /v1/commands"));
  for (const schema of Object.values(spec.components.schemas)) {
    if (schema["x-syntax"]) place.append(command(schema));
  }
  document.getElementById("state").textContent = `Version ${spec.info.version}`;
  document.getElementById("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase();
    for (const block of document.querySelectorAll(".operation")) block.hidden = !block.dataset.words.includes(words);
  });
};

fetch("/openapi.json")
  .then((answer) => answer.json())
  .then(draw)
  .catch((error) => { document.getElementById("state").textContent = `Could not load: ${error}`; });
