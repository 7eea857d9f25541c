// Keys: found by a pattern, shown by their type, changed, and asked after when they are gone.

import { byId, confirmed, count, make, size, table } from "./drawing.js";
import { ask, get, inPath, run, send, shown } from "./server.js";
import { namespace, tell } from "./page.js";

const PAGE = 100;
let cursor = null;

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const path = (key) => `/v1/namespaces/${encodeURIComponent(namespace())}/keys/${inPath(key)}`;
const command = (...words) => run(namespace(), ...words);

// Does something, says what went wrong, and shows the key anew.
const change = (key, action) => async (event) => {
  event?.preventDefault();
  try {
    if ((await action()) !== false) await showKey(key);
  } catch (error) {
    tell(error);
    byId("key-problem")?.replaceChildren(error.message);
  }
};

const listKeys = async (more) => {
  const from = more && cursor ? `&cursor=${cursor}` : "";
  const found = await get(`/keys?limit=1000&namespace=${encodeURIComponent(namespace())}&match=${encodeURIComponent(byId("pattern").value || "*")}${from}`);
  cursor = found.cursor;
  const items = found.keys.map((key) => make("li", {}, make("button", { type: "button", on: { click: (event) => choose(event, key) } }, make("span", { textContent: shown(key) }))));
  if (!more) byId("key-list").replaceChildren();
  byId("key-list").append(...items);
  byId("more-keys").hidden = cursor === null;
  byId("key-count").textContent = `${count(byId("key-list").children.length)} shown of ${count(found.count)} in ${namespace()}`;
};

const choose = (event, key) => {
  for (const button of document.querySelectorAll("#key-list button")) button.setAttribute("aria-pressed", button === event.currentTarget);
  showKey(key).catch(tell);
};

const rowsOf = {
  hash: { read: (key) => command("HSCAN", key, "0", "COUNT", PAGE).then(([, flat]) => pairs(flat)), heads: ["Field", "Value"], set: (key, field, value) => command("HSET", key, field, value), drop: (key, [field]) => command("HDEL", key, field) },
  list: { read: (key) => command("LRANGE", key, "0", String(PAGE - 1)).then((all) => all.map((value, at) => [String(at), value])), heads: ["Index", "Value"], set: (key, at, value) => (at === "" ? command("RPUSH", key, value) : command("LSET", key, at, value)), drop: null },
  set: { read: (key) => command("SSCAN", key, "0", "COUNT", PAGE).then(([, all]) => all.map((member) => [member])), heads: ["Member"], set: (key, member) => command("SADD", key, member), drop: (key, [member]) => command("SREM", key, member) },
  zset: { read: (key) => command("ZRANGE", key, "0", String(PAGE - 1), "WITHSCORES").then((all) => all.map(([member, score]) => [member, String(score)])), heads: ["Member", "Score"], set: (key, member, score) => command("ZADD", key, score, member), drop: (key, [member]) => command("ZREM", key, member) },
};

const pairs = (flat) => {
  if (flat.length && Array.isArray(flat[0])) return flat;
  return flat.flatMap((field, at) => (at % 2 ? [] : [[field, flat[at + 1]]]));
};

const elements = async (key, kind) => {
  const { read, heads, set, drop } = rowsOf[kind];
  const rows = await read(key);
  const columns = heads.map((head, at) => [head, (row) => shown(row[at])]);
  if (drop) columns.push(["", (row) => make("button", { type: "button", className: "danger", textContent: "Remove", "aria-label": `Remove ${shown(row[0])}`, on: { click: change(key, () => drop(key, row)) } })]);
  const fields = heads.map((head, at) => make("label", {}, head, make("input", { spellcheck: false, autocomplete: "off", required: !(kind === "list" && at === 0), placeholder: kind === "list" && at === 0 ? "end" : "" })));
  const form = make("form", { className: "line" }, ...fields, make("button", { textContent: kind === "set" ? "Add" : "Set" }));
  form.addEventListener("submit", change(key, () => set(key, ...fields.map((field) => field.querySelector("input").value))));
  return [make("div", { className: "wide" }, table(columns, rows, "It is empty.")), rows.length >= PAGE ? make("p", { textContent: `The first ${PAGE} are shown.` }) : null, form];
};

const editor = (key, answer, bytes) => {
  let text = null;
  try { text = new TextDecoder("utf-8", { fatal: true }).decode(bytes); } catch { /* shown as a note below */ }
  if (text === null) return [make("p", { textContent: `${size(bytes.length)} that are no text.` })];
  const area = make("textarea", { value: text, spellcheck: false, "aria-label": "Value" });
  const etag = answer.headers.get("ETag"), type = answer.headers.get("Content-Type"), ttl = answer.headers.get("X-CacheStorm-TTL"), tags = answer.headers.get("X-CacheStorm-Tags");
  const kept = { "If-Match": etag, "Content-Type": type, "X-CacheStorm-TTL": ttl ?? "none", ...(tags ? { "X-CacheStorm-Tags": tags } : {}) };
  const save = change(key, () => ask("PUT", path(key), { headers: kept, body: area.value }));
  return [make("p", {}, area), make("p", { className: "line" }, make("button", { type: "button", className: "strong", textContent: "Save", on: { click: save } }), make("span", { textContent: `as ${type}, if nobody has changed it meanwhile` }))];
};

const lifetime = (key, ttl) => {
  const input = make("input", { type: "number", min: 1, value: ttl ? Math.ceil(Number(ttl)) : "", required: true });
  const form = make("form", { className: "line" }, make("label", {}, "Seconds to live", input), make("button", { textContent: "Set" }),
    make("button", { type: "button", textContent: "No end", on: { click: change(key, () => command("PERSIST", key)) } }));
  form.addEventListener("submit", change(key, () => command("EXPIRE", key, input.value)));
  return form;
};

const tagging = (key, tags) => {
  const input = make("input", { spellcheck: false, autocomplete: "off", required: true });
  const form = make("form", { className: "line" }, make("label", {}, "Tag", input), make("button", { textContent: "Add" }));
  form.addEventListener("submit", change(key, () => command("ADDTAG", key, input.value)));
  const chips = tags.map((tag) => make("li", {}, shown(tag), make("button", { type: "button", textContent: "×", "aria-label": `Remove the tag ${shown(tag)}`, on: { click: change(key, () => command("REMTAG", key, tag)) } })));
  return [make("ul", { className: "chips", "aria-label": "Tags" }, ...chips), form];
};

export const showKey = async (key) => {
  const place = byId("key-detail");
  const head = await send("HEAD", path(key));
  if (head.status === 404) {
    place.replaceChildren(make("h3", { textContent: shown(key) }), make("p", { textContent: await reason(key) }));
    return;
  }
  const kind = head.headers.get("X-CacheStorm-Type"), ttl = head.headers.get("X-CacheStorm-TTL");
  const large = Number(head.headers.get("Content-Length")) > 1 << 20;
  const [tags, usage] = await Promise.all([command("TAGS", key), command("MEMORY", "USAGE", key)]);
  let value;
  if (kind in rowsOf) value = await elements(key, kind);
  else if (large) value = [make("p", { textContent: `${size(Number(head.headers.get("Content-Length")))}, too large to show here.` })];
  else {
    const answer = await send("GET", path(key));
    value = editor(key, answer, new Uint8Array(await answer.arrayBuffer()));
  }
  const remove = async () => {
    if (!(await confirmed("Delete this key?", "Delete", make("p", { textContent: shown(key) })))) return false;
    await ask("DELETE", path(key));
    await listKeys(false);
  };
  const end = ttl ? `${Math.round(Number(ttl))} seconds to live` : "no end";
  place.replaceChildren(
    make("h3", { textContent: shown(key) }),
    make("p", { textContent: `${kind}, ${size(usage ?? 0)}, ${end}` }),
    make("p", { id: "key-problem", className: "failed", role: "alert" }),
    ...value.filter(Boolean), make("h4", { textContent: "Time to live" }), lifetime(key, ttl), make("h4", { textContent: "Tags" }), ...tagging(key, tags),
    make("p", {}, make("button", { type: "button", className: "danger", textContent: "Delete this key…", on: { click: change(key, remove) } })),
  );
};

const reason = async (key) => {
  const answer = await send("GET", path(key));
  if (answer.ok) return "It is there.";
  const { why } = await answer.json();
  if (!why) return "It was never here, or left so long ago that nobody remembers.";
  const when = new Date(why.at_ms ?? why["at-ms"]).toLocaleString();
  const by = why.tag ? `, by the tag ${shown(why.tag)}` : "";
  const way = why.path && why.path.length > 1 ? ` (${why.path.map(shown).join(" → ")})` : "";
  return `It was ${why.cause}${by}${way} at ${when}.`;
};

const newKey = async () => {
  const name = make("input", { required: true, spellcheck: false }), kind = make("select", {}, ...["string", "hash", "list", "set", "zset"].map((each) => make("option", { textContent: each })));
  const value = make("input", { spellcheck: false }), field = make("input", { spellcheck: false });
  const body = [["Key", name], ["Type", kind], ["Field, or score", field], ["Value, or member", value]].map(([text, input]) => make("p", {}, make("label", {}, text, input)));
  if (!(await confirmed("New key", "Create", ...body)) || !name.value) return;
  const put = {
    string: () => ask("PUT", path(name.value), { headers: { "If-None-Match": "*", "Content-Type": "text/plain; charset=utf-8" }, body: value.value }),
    hash: () => command("HSET", name.value, field.value, value.value),
    list: () => command("RPUSH", name.value, value.value),
    set: () => command("SADD", name.value, value.value),
    zset: () => command("ZADD", name.value, field.value || "0", value.value),
  };
  await put[kind.value]();
  await listKeys(false);
  await showKey(name.value);
};

let isReady = false;

export const showKeys = async () => {
  if (!isReady) {
    isReady = true;
    byId("find-keys").addEventListener("submit", (event) => { event.preventDefault(); listKeys(false).catch(tell); });
    byId("more-keys").addEventListener("click", () => listKeys(true).catch(tell));
    byId("new-key").addEventListener("click", () => newKey().catch(tell));
    byId("find-why").addEventListener("submit", (event) => {
      event.preventDefault();
      reason(byId("why-key").value).then((text) => byId("why").replaceChildren(text)).catch(tell);
    });
  }
  await listKeys(false);
};
