// What all views share: the namespace that is chosen, and the line that says how it goes.

import { byId } from "./drawing.js";

export const namespace = () => byId("namespace").value;

export const say = (text, bad) => {
  byId("state").textContent = text;
  byId("state").className = bad ? "bad" : "";
};

export const tell = (error) => say(error.message, true);
