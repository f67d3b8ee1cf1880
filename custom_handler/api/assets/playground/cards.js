// The cards of the log.

import { at, element } from "./dom.js";

export function show(className, text) {
  at("empty").hidden = true;
  const card = element(at("log"), "article", "", className);
  const body = element(card, "p", text);
  card.scrollIntoView({ block: "end" });
  return { card, body };
}

export function complain(text) {
  show("bad", text).card.setAttribute("role", "alert");
}

