// The console: a command line with completion from the declarations of the server.

import { byId, make } from "./drawing.js";
import { get, run } from "./server.js";
import { namespace, tell } from "./page.js";

let commands = [];
const asked = [];
let place = 0;
let chosen = -1;

// Words as a shell reads them: quotes hold spaces together.
export const wordsOf = (line) => {
  const words = [];
  const pattern = /"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g;
  for (const [, double, single, plain] of line.matchAll(pattern)) {
    words.push(double !== undefined ? double.replace(/\\(.)/g, "$1") : single ?? plain);
  }
  return words;
};

const spell = (reply, indent = "") => {
  if (reply === null) return "(nil)";
  if (Array.isArray(reply)) return reply.length ? reply.map((each, at) => `${at ? indent : ""}${at + 1}) ${spell(each, indent + "   ")}`).join("\n") : "(empty)";
  if (typeof reply === "string") return reply;
  return JSON.stringify(reply);
};

const put = (text, kind) => {
  byId("output").append(make("p", { className: kind, textContent: text }));
  byId("output").scrollTop = byId("output").scrollHeight;
};

const matching = (text) => {
  const words = text.trimStart().toUpperCase();
  return words ? commands.filter((each) => each.name.startsWith(words) && each.name !== words).slice(0, 12) : [];
};

const known = (text) => {
  const words = text.trim().toUpperCase().split(/\s+/);
  return commands.find((each) => each.name === words.slice(0, 2).join(" ")) ?? commands.find((each) => each.name === words[0]);
};

const close = () => {
  chosen = -1;
  byId("choices").hidden = true;
  byId("command").setAttribute("aria-expanded", "false");
  byId("command").removeAttribute("aria-activedescendant");
};

const complete = (name) => {
  byId("command").value = name + " ";
  close();
  hint();
  byId("command").focus();
};

const hint = () => {
  const found = known(byId("command").value);
  byId("hint").textContent = found ? `${found.name} ${found.arguments.join(" ")}: ${found.summary}` : "";
};

const suggest = () => {
  hint();
  const found = matching(byId("command").value);
  close();
  if (!found.length) return;
  byId("choices").replaceChildren(...found.map((each, at) => make("li", { id: `choice-${at}`, role: "option", "aria-selected": "false", textContent: `${each.name}  ${each.summary}`, on: { mousedown: (event) => { event.preventDefault(); complete(each.name); } } })));
  byId("choices").hidden = false;
  byId("command").setAttribute("aria-expanded", "true");
};

const move = (step) => {
  const choices = [...byId("choices").children];
  chosen = (chosen + step + choices.length) % choices.length;
  choices.forEach((each, at) => each.setAttribute("aria-selected", at === chosen));
  choices[chosen].scrollIntoView({ block: "nearest" });
  byId("command").setAttribute("aria-activedescendant", `choice-${chosen}`);
};

const recall = (step) => {
  place = Math.min(Math.max(place + step, 0), asked.length);
  byId("command").value = asked[place] ?? "";
  hint();
};

const onKey = (event) => {
  const isOpen = !byId("choices").hidden;
  const found = matching(byId("command").value);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    if (isOpen) move(step); else recall(step);
  } else if (event.key === "Tab" && isOpen && !event.shiftKey) {
    event.preventDefault();
    complete(found[Math.max(chosen, 0)].name);
  } else if (event.key === "Enter" && isOpen && chosen >= 0) {
    event.preventDefault();
    complete(found[chosen].name);
  } else if (event.key === "Escape") close();
};

const submit = async (event) => {
  event.preventDefault();
  const line = byId("command").value;
  const words = wordsOf(line);
  if (!words.length) return;
  close();
  asked.push(line);
  place = asked.length;
  byId("command").value = "";
  hint();
  put(`${namespace()}> ${line}`, "asked");
  try {
    put(spell(await run(namespace(), ...words)), "");
  } catch (error) {
    put(`${error.problem?.error?.code ?? "ERR"} ${error.message}`, "failed");
  }
};

export const showConsole = async () => {
  if (!commands.length) {
    commands = (await get("/v1/commands")).commands;
    byId("command").addEventListener("input", suggest);
    byId("command").addEventListener("keydown", onKey);
    byId("command").addEventListener("blur", close);
    byId("ask").addEventListener("submit", (event) => submit(event).catch(tell));
  }
  byId("command").focus();
};
