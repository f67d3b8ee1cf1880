// The chosen language, and the texts of `texts.en.js` and `texts.pt.js`.

import { at } from "./dom.js";
import { EN } from "./texts.en.js";
import { PT } from "./texts.pt.js";

const TEXTS = { en: EN, pt: PT };

export const t = (name) => TEXTS[at("language").value][name];

// A text with a value in the place of its `{}`.
export const formatted = (name, value) => t(name).replace("{}", value);

// Give an element a text that follows the language.
export function translated(node, name) {
  node.dataset.t = name;
  node.textContent = t(name);
  return node;
}

export function translate() {
  document.documentElement.lang = at("language").value === "pt" ? "pt-BR" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-label]")) node.ariaLabel = node.title = t(node.dataset.label);
  for (const node of document.querySelectorAll("[data-hint]")) node.placeholder = t(node.dataset.hint);
  sessionStorage.setItem("language", at("language").value);
}

export function restoreLanguage() {
  at("language").value = sessionStorage.getItem("language") ?? (navigator.language.startsWith("pt") ? "pt" : "en");
  translate();
}
