// Tags: their hierarchy, what bears them, and invalidating them once it is clear what goes.

import { byId, confirmed, count, graph, make } from "./drawing.js";
import { ask, get, inPath, shown } from "./server.js";
import { namespace, tell } from "./page.js";

const where = () => `namespace=${encodeURIComponent(namespace())}`;

const drawGraph = async () => {
  const { count: links, links: shownLinks, tags } = await get(`/v1/tags?${where()}`);
  if (!links) {
    byId("graph").replaceChildren(make("p", { textContent: "No tag has children. TAGLINK parent child, or the form of a tag below, makes one." }));
    return;
  }
  byId("graph").replaceChildren(graph(shownLinks, tags, shown, (tag) => showTag(tag).catch(tell)));
};

const listTags = async () => {
  const { count: all, tags } = await get(`/tags?limit=1000&${where()}&match=${encodeURIComponent(byId("tag-pattern").value || "*")}`);
  tags.sort((one, other) => other.count - one.count);
  byId("tag-count").textContent = `${count(tags.length)} shown of ${count(all)} with keys in ${namespace()}`;
  byId("tag-list").replaceChildren(...tags.map((row) =>
    make("li", {}, make("button", { type: "button", on: { click: (event) => choose(event, row.name) } }, make("span", { textContent: shown(row.name) }), make("span", { textContent: count(row.count) })))));
};

const choose = (event, tag) => {
  for (const button of document.querySelectorAll("#tag-list button")) button.setAttribute("aria-pressed", button === event.currentTarget);
  showTag(tag).catch(tell);
};

const invalidate = async (tag, cascade, soft) => {
  const address = `/v1/tags/${inPath(tag)}?${where()}&cascade=${cascade}&soft=${soft}`;
  const would = await ask("DELETE", `${address}&dry_run=true&limit=20`);
  const tags = would.reached.map((row) => `${shown(row.name)} (${count(row.count)})`).join(", ");
  const keys = would.keys.map((key) => make("li", { textContent: shown(key) }));
  const verb = soft ? "made stale" : "deleted";
  const yes = await confirmed(`${count(would.keys_deleted)} keys will be ${verb}`, soft ? "Make stale" : "Invalidate",
    make("p", { textContent: `Tags: ${tags}` }),
    make("ul", { "aria-label": "Keys" }, ...keys),
    would.keys_deleted > keys.length ? make("p", { textContent: `and ${count(would.keys_deleted - keys.length)} more` }) : null);
  if (!yes) return;
  const done = await ask("DELETE", address);
  await Promise.all([drawGraph(), listTags()]);
  await showTag(tag);
  byId("tag-done").textContent = `${count(done.keys_deleted)} keys were ${verb}.`;
};

const link = (tag) => {
  const input = make("input", { required: true, spellcheck: false, autocomplete: "off" });
  const form = make("form", { className: "line" }, make("label", {}, "Child", input), make("button", { textContent: "Link" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    change(tag, () => ask("PUT", `/v1/tags/${inPath(tag)}/children/${inPath(input.value)}?${where()}`));
  });
  return form;
};

const change = async (tag, action) => {
  try {
    await action();
    await drawGraph();
    await showTag(tag);
  } catch (error) {
    tell(error);
    byId("tag-done").textContent = error.message;
  }
};

const showTag = async (tag) => {
  const found = await get(`/v1/tags/${inPath(tag)}?limit=50&${where()}`);
  const cascade = make("input", { type: "checkbox", checked: found.children.length > 0 }), soft = make("input", { type: "checkbox" });
  const children = found.children.map((row) => make("li", {}, `${shown(row.name)} (${count(row.count)})`, make("button", {
    type: "button", textContent: "×", "aria-label": `Unlink ${shown(row.name)}`,
    on: { click: () => change(tag, () => ask("DELETE", `/v1/tags/${inPath(tag)}/children/${inPath(row.name)}?${where()}`)) },
  })));
  byId("tag-detail").replaceChildren(
    make("h3", { textContent: shown(tag) }),
    make("p", { textContent: `${count(found.count)} keys` }),
    make("p", { className: "line" },
      make("label", {}, cascade, "with children"), make("label", {}, soft, "make stale only"),
      make("button", { type: "button", className: "danger", textContent: "Invalidate…", on: { click: () => invalidate(tag, cascade.checked, soft.checked).catch(tell) } })),
    make("p", { id: "tag-done", role: "status" }),
    make("h4", { textContent: "Children" }), make("ul", { className: "chips", "aria-label": "Children" }, ...children), link(tag),
    make("h4", { textContent: found.cursor === null ? "Keys" : "Some of its keys" }),
    make("ul", {}, ...found.keys.map((key) => make("li", { textContent: shown(key) }))),
  );
};

let isReady = false;

export const showTags = async () => {
  if (!isReady) {
    isReady = true;
    byId("find-tags").addEventListener("submit", (event) => { event.preventDefault(); listTags().catch(tell); });
  }
  await Promise.all([drawGraph(), listTags()]);
};
