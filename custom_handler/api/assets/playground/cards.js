// The cards of the log.

import { at, element } from "./dom.js";
import { MarkdownView } from "./markdown.js";

export function show(className, text) {
  at("empty").hidden = true;
  const card = element(at("log"), "article", "", className);
  const body = element(card, "p", text);
  card.scrollIntoView({ block: "end" });
  return { card, body };
}

export function showAnswer() {
  at("empty").hidden = true;
  const card = element(at("log"), "article"), body = element(card, "div", "", "markdown");
  const view = new MarkdownView(body);
  view.onrender = () => card.scrollIntoView({ block: "end" });
  view.onrender();
  return { card, body, view };
}

export function complain(text) {
  show("bad", text).card.setAttribute("role", "alert");
}

