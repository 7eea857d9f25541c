// How the page asks the server. What comes back is shown as text, never as markup.

const TOKEN = "cachestorm-password";
let asking = null;

export class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.error?.message || `status ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

const headers = (more) => {
  const token = sessionStorage.getItem(TOKEN);
  return token === null ? more : { ...more, Authorization: `Bearer ${token}` };
};

// One dialog, however many requests were refused.
const logIn = () => {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("login");
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN, document.getElementById("password").value);
      document.getElementById("password").value = "";
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
};

export const send = async (method, path, options = {}) => {
  for (;;) {
    const given = sessionStorage.getItem(TOKEN);
    const answer = await fetch(path, { method, ...options, headers: headers(options.headers ?? {}) });
    if (answer.status !== 401) return answer;
    // another request may have asked for it meanwhile
    if (sessionStorage.getItem(TOKEN) === given) await logIn();
  }
};

export const ask = async (method, path, options) => {
  const answer = await send(method, path, options);
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const document = isJson ? await answer.json() : {};
  if (!answer.ok) throw new Refused(document, answer.status);
  return document;
};

export const get = (path) => ask("GET", path);

// One command by its words.
export const run = async (namespace, ...words) => {
  const answer = await ask("POST", "/v1/commands", {
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ command: words, namespace }),
  });
  return answer.result;
};

// A name is text, or {base64} where it is none.
export const shown = (name) => (typeof name === "string" ? name : name && name.base64 !== undefined ? `base64:${name.base64}` : String(name));

export const inPath = (name) =>
  typeof name === "string"
    ? encodeURIComponent(name)
    : [...atob(name.base64)].map((letter) => "%" + letter.charCodeAt(0).toString(16).padStart(2, "0")).join("");

// Follows the events until `signal` says so; comes back after the last one that was seen.
export const follow = async (query, signal, take) => {
  let last = "";
  while (!signal.aborted) {
    try {
      const answer = await send("GET", `/v1/events?${query}`, { signal, headers: last ? { "Last-Event-ID": last } : {} });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        text += value;
        const blocks = text.split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const fields = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
          if (fields.id) last = fields.id;
          if (fields.event) take(fields.event, JSON.parse(fields.data));
        }
      }
    } catch (error) {
      if (signal.aborted) return;
    }
    take("away", null);
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
};
