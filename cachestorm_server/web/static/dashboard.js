// The dashboard: views, the overview that follows the server, the slow log and the clients.

import { byId, chart, count, counted, make, percent, size, span, table } from "./drawing.js";
import { ask, follow, get, shown } from "./server.js";
import { showKeys } from "./keys.js";
import { showTags } from "./tags.js";
import { namespace, say, tell } from "./page.js";
import { showConsole } from "./console.js";

const KEPT = 150;
const VIEWS = ["overview", "keys", "tags", "slow", "clients", "console"];
const history = { hits: [], ops: [], expired: [], evicted: [], invalidated: [] };
let former = null;
let following = null;

const keep = (name, number) => {
  history[name].push(number);
  if (history[name].length > KEPT) history[name].shift();
};

const takeStats = (stats) => {
  say("Connected");
  if (former && stats.at > former.at && stats.hits >= former.hits) {
    const seconds = stats.at - former.at;
    const hits = stats.hits - former.hits, misses = stats.misses - former.misses;
    keep("hits", hits + misses ? hits / (hits + misses) : history.hits.at(-1) ?? 0);
    keep("ops", Math.max(stats.commands - former.commands, 0) / seconds);
    for (const cause of ["expired", "evicted", "invalidated"]) keep(cause, Math.max(stats[cause] - former[cause], 0) / seconds);
  }
  former = stats;
  if (byId("view-overview").hidden) return;
  const reads = stats.hits + stats.misses;
  const limit = stats.max_memory ? `of ${size(stats.max_memory)}` : "no limit";
  const cards = [
    ["Hit ratio", reads ? percent(stats.hits / reads) : "no reads yet", `${count(stats.hits)} of ${count(reads)} reads`],
    ["Commands a second", count(history.ops.at(-1) ?? 0), `${count(stats.commands)} in all`],
    ["Memory", size(stats.memory), `${limit}, peak ${size(stats.peak_memory)}`],
    ["Keys", count(stats.keys), `${counted(stats.tags, "tag")}, ${counted(stats.namespaces, "namespace")}`],
    ["Keys that left", count(stats.expired + stats.evicted + stats.invalidated), `${count(stats.expired)} expired, ${count(stats.evicted)} evicted, ${count(stats.invalidated)} invalidated`],
    ["Clients", count(stats.clients), stats.refused ? `${counted(stats.refused, "write")} refused` : "no write refused"],
  ];
  byId("cards").replaceChildren(...cards.map(([title, value, more]) =>
    make("div", {}, make("dt", { textContent: title }), make("dd", {}, value, make("small", { textContent: more })))));
  byId("chart-hits").replaceChildren(chart([["hit ratio", history.hits]], percent, 1));
  byId("chart-ops").replaceChildren(chart([["commands", history.ops]], count));
  byId("chart-causes").replaceChildren(chart(["expired", "evicted", "invalidated"].map((cause) => [cause, history[cause]]), count));
  const causes = Object.entries(stats.miss_causes).sort(([, one], [, other]) => other - one);
  byId("misses").textContent = causes.length ? causes.map(([cause, share]) => `${cause} ${percent(share)}`).join(", ") : "No read has missed yet.";
  byId("latency").replaceChildren(table([
    ["Command", (row) => row.command],
    ["Calls", (row) => count(row.calls), true],
    ["50 %", (row) => span(row.p50), true],
    ["99 %", (row) => span(row.p99), true],
    ["99.9 %", (row) => span(row.p999), true],
  ], stats.latency, "No command has come over RESP yet."));
};

const takeInvalidation = (told) => {
  const list = byId("invalidations");
  if (!list.dataset.begun) { list.replaceChildren(); list.dataset.begun = "yes"; }
  const how = told.soft ? "made stale" : "invalidated";
  list.prepend(make("li", { textContent: `${new Date().toLocaleTimeString()} ${told.namespace}: ${shown(told.tag)} ${how}` }));
  while (list.children.length > 50) list.lastChild.remove();
};

const curve = (row, used, limit) => {
  const found = Object.entries(row.hit_ratios);
  if (!found.length) return "not known yet";
  const now = row.max_memory || limit || used;
  return found.map(([factor, ratio]) => `${size(now * Number(factor))}: ${percent(ratio)}`).join(", ");
};

const showNamespaces = async () => {
  const { namespaces } = await get("/v1/namespaces?limit=1000");
  const chosen = namespace();
  byId("namespace").replaceChildren(...namespaces.map((row) => make("option", { value: row.name, textContent: row.name })));
  byId("namespace").value = namespaces.some((row) => row.name === chosen) ? chosen : "default";
  const all = namespaces.reduce((sum, row) => sum + row.memory, 0);
  namespaces.sort((one, other) => other.memory - one.memory);
  byId("namespaces").replaceChildren(table([
    ["Namespace", (row) => row.name],
    ["Memory", (row) => size(row.memory), true],
    ["Share", (row) => make("meter", { min: 0, max: 1, value: all ? row.memory / all : 0, "aria-label": `share of ${row.name}` })],
    ["Keys", (row) => count(row.keys), true],
    ["Hit ratio", (row) => (row.hits + row.misses ? percent(row.hit_ratio) : "no reads"), true],
    ["Evicted", (row) => count(row.evicted), true],
    ["Expired", (row) => count(row.expired), true],
    ["Hit ratio at other limits", (row) => curve(row, row.memory, former?.max_memory)],
  ], namespaces.slice(0, 100), "There is none."));
};

const showHot = async () => {
  const { keys } = await get(`/v1/hot-keys?limit=10&namespace=${encodeURIComponent(namespace())}`);
  byId("hot").replaceChildren(table([["Key", (row) => shown(row.key)], ["Hits lately", (row) => count(row.hits), true]], keys, "No key is hit often."));
};

const showSlow = async () => {
  const { calls } = await get("/v1/slow-log?limit=200");
  byId("slow").replaceChildren(table([
    ["When", (call) => new Date(call.at * 1000).toLocaleString()],
    ["Took", (call) => span(call.microseconds), true],
    ["Command", (call) => call.command.map(shown).join(" ")],
    ["Client", (call) => `${call.client} ${shown(call.name)}`],
  ], calls, "No call was slow."));
};

const showClients = async () => {
  const { clients } = await get("/v1/clients");
  byId("clients").replaceChildren(table([
    ["Id", (one) => one.id, true],
    ["Address", (one) => one.addr],
    ["Name", (one) => one.name],
    ["Age", (one) => `${one.age} s`, true],
    ["Idle", (one) => `${one.idle} s`, true],
    ["Last command", (one) => one.cmd],
    ["Namespace", (one) => one.namespace],
    ["Library", (one) => `${one["lib-name"]} ${one["lib-ver"]}`],
    ["Memory", (one) => size(Number(one["tot-mem"])), true],
  ], clients, "Nobody is connected over RESP."));
};

const showOverview = () => Promise.all([showNamespaces(), showHot()]);
const SHOWING = { overview: showOverview, keys: showKeys, tags: showTags, slow: showSlow, clients: showClients, console: showConsole };

const current = () => (VIEWS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "overview");

const show = async (moved) => {
  const view = current();
  for (const each of VIEWS) byId(`view-${each}`).hidden = each !== view;
  for (const link of document.querySelectorAll(".bar nav a")) {
    if (link.getAttribute("href") === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `CacheStorm: ${byId(`h-${view}`).textContent}`;
  if (moved) byId("main").focus();
  if (view === "overview" && former) takeStats(former);
  await SHOWING[view]().catch(tell);
};

const take = (kind, told) => {
  if (kind === "stats") takeStats(told);
  else if (kind === "invalidations") takeInvalidation(told);
  else if (kind === "away") say("Disconnected; trying again", true);
};

// A page that nobody looks at costs the server nothing.
const attend = () => {
  if (document.hidden) {
    following?.abort();
    following = null;
  } else if (following === null) {
    following = new AbortController();
    follow("kinds=stats,invalidations&every=2", following.signal, take);
  }
};

const setTheme = (theme) => {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
};

const begin = () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(localStorage.getItem("cachestorm-theme") ?? (dark ? "dark" : "light"));
  byId("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("cachestorm-theme", theme);
    setTheme(theme);
  });
  byId("namespace").addEventListener("change", () => show(false));
  byId("reload-slow").addEventListener("click", () => showSlow().catch(tell));
  byId("clear-slow").addEventListener("click", () => ask("DELETE", "/v1/slow-log").then(showSlow).catch(tell));
  byId("reload-clients").addEventListener("click", () => showClients().catch(tell));
  window.addEventListener("hashchange", () => show(true));
  document.addEventListener("visibilitychange", attend);
  setInterval(() => { if (!document.hidden && current() === "overview") showOverview().catch(tell); }, 5000);
  showNamespaces().catch(tell).finally(() => show(false));
  attend();
};

begin();
