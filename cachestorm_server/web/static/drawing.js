// Elements, tables and charts, all made as nodes.

export const byId = (id) => document.getElementById(id);

export const make = (name, facts = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(facts)) {
    if (key === "on") for (const [event, taker] of Object.entries(value)) node.addEventListener(event, taker);
    else if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const drawn = (name, facts, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(facts)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

export const size = (bytes) => {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let step = 0;
  while (bytes >= 1024 && step < 4) { bytes /= 1024; step += 1; }
  return `${step && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[step]}`;
};

export const count = (number) => Math.round(number).toLocaleString("en");
export const counted = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;
export const percent = (ratio) => `${(100 * ratio).toFixed(1)} %`;
export const span = (microseconds) => (microseconds >= 1000 ? `${(microseconds / 1000).toFixed(1)} ms` : `${Math.round(microseconds)} µs`);

// Columns: [title, cell of a row, is it a number].
export const table = (columns, rows, nothing) => {
  if (!rows.length) return make("p", { textContent: nothing });
  const head = make("tr", {}, ...columns.map(([title, , number]) => make("th", { scope: "col", className: number ? "number" : "", textContent: title })));
  const body = rows.map((row) => make("tr", {}, ...columns.map(([, cell, number]) => {
    const content = cell(row);
    return make("td", { className: number ? "number" : "text" }, content instanceof Node ? content : String(content));
  })));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
};

// Lines over time. `lines`: [label, numbers]. The text says what the picture shows.
export const chart = (lines, spell, most) => {
  const width = 360, height = 120, left = 64, bottom = 18, step = (width - left) / 3;
  const top = Math.max(most ?? 0, ...lines.flatMap(([, numbers]) => numbers), 1e-9);
  const length = Math.max(...lines.map(([, numbers]) => numbers.length), 2);
  const x = (place) => left + (width - left - 6) * (place / (length - 1));
  const y = (number) => 6 + (height - bottom - 6) * (1 - number / top);
  const now = lines.map(([label, numbers]) => `${label} ${numbers.length ? spell(numbers.at(-1)) : "unknown"}`).join(", ");
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height + 16}`, role: "img", "aria-label": `Now: ${now}` });
  for (const share of [0, 1]) {
    svg.append(drawn("line", { class: "axis", x1: left, x2: width - 6, y1: y(top * share), y2: y(top * share) }));
    const text = drawn("text", { x: left - 4, y: y(top * share) + 4, "text-anchor": "end" });
    text.textContent = spell(top * share);
    svg.append(text);
  }
  lines.forEach(([label, numbers], place) => {
    const points = numbers.map((number, at) => `${x(at + length - numbers.length).toFixed(1)},${y(number).toFixed(1)}`);
    svg.append(drawn("polyline", { class: `line-${place}`, points: points.join(" ") }));
    svg.append(drawn("line", { class: `line-${place}`, x1: left + place * step, x2: left + place * step + 18, y1: height + 5, y2: height + 5 }));
    const text = drawn("text", { x: left + place * step + 22, y: height + 9 });
    text.textContent = label;
    svg.append(text);
  });
  return svg;
};

// A hierarchy from the left to the right. `choose` is called with a tag.
export const graph = (links, counts, name, choose) => {
  const children = new Map(), depth = new Map();
  for (const { parent, child } of links) {
    if (!children.has(name(parent))) children.set(name(parent), []);
    children.get(name(parent)).push(name(child));
  }
  const below = new Set(links.map((link) => name(link.child)));
  const tags = new Map(counts.map((row) => [name(row.name), row]));
  // the longest way from a root; there are no cycles
  const waiting = [...tags.keys()].filter((tag) => !below.has(tag)).map((tag) => [tag, 0]);
  while (waiting.length) {
    const [tag, level] = waiting.pop();
    if ((depth.get(tag) ?? -1) >= level) continue;
    depth.set(tag, level);
    for (const child of children.get(tag) ?? []) waiting.push([child, level + 1]);
  }
  const rows = [], place = new Map(), wide = 190, high = 34;
  for (const tag of tags.keys()) {
    const level = depth.get(tag) ?? 0;
    rows[level] = (rows[level] ?? 0) + 1;
    place.set(tag, [12 + level * (wide + 60), 8 + (rows[level] - 1) * (high + 12)]);
  }
  const width = 24 + rows.length * (wide + 60) - 60, height = 20 + Math.max(1, ...rows.filter(Boolean)) * (high + 12);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Tags and their children" });
  for (const { parent, child } of links) {
    const [fromX, fromY] = place.get(name(parent)), [toX, toY] = place.get(name(child));
    const middle = (fromX + wide + toX) / 2;
    svg.append(drawn("path", { class: "edge", d: `M${fromX + wide},${fromY + high / 2} C${middle},${fromY + high / 2} ${middle},${toY + high / 2} ${toX},${toY + high / 2}` }));
  }
  for (const [tag, row] of tags) {
    const [left, top] = place.get(tag);
    const shown = tag.length > 18 ? tag.slice(0, 17) + "…" : tag;
    const text = drawn("text", { x: left + 10, y: top + 21 });
    text.textContent = shown;
    const number = drawn("text", { x: left + wide - 10, y: top + 21, "text-anchor": "end" });
    number.textContent = `${count(row.count)} keys`;
    const node = drawn("g", { class: "node", tabindex: "0", role: "button", "aria-pressed": "false" },
      drawn("rect", { x: left, y: top, width: wide, height: high, rx: 6 }), text, number);
    const chosen = () => {
      for (const other of svg.querySelectorAll(".node")) other.setAttribute("aria-pressed", other === node);
      choose(row.name);
    };
    node.addEventListener("click", chosen);
    node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); chosen(); } });
    svg.append(node);
  }
  return svg;
};

// Asks before something is done. Resolves to whether it is to be.
export const confirmed = (title, yes, ...body) =>
  new Promise((resolve) => {
    const dialog = byId("confirm");
    byId("h-confirm").textContent = title;
    byId("confirm-yes").textContent = yes;
    byId("confirm-body").replaceChildren(...body);
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
