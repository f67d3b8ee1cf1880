// The list of conversations, and what can be done with the current one.

import { showFrom } from "./cards.js";
import { at, download, element } from "./dom.js";
import { toEnd } from "./scroll.js";
import { choose, conversations, create, current, remove, save, titleOf } from "./store.js";
import { showOptions } from "./options.js";
import { t } from "./texts.js";

export function showConversations() {
  at("conversations").replaceChildren();
  for (const conversation of conversations()) {
    const line = element(at("conversations"), "li");
    const button = element(line, "button", titleOf(conversation) || t("untitled"), "idle");
    button.type = "button";
    if (conversation === current()) button.ariaCurrent = "true";
    button.onclick = () => { choose(conversation.id); shown(); };
  }
  at("name").value = titleOf(current());
}

export function showCurrent() {
  const { model } = current();
  if ([...at("model").options].some(({ value }) => value === model)) {
    at("model").value = model;
    at("model").dispatchEvent(new Event("change"));
  }
  showConversations();
  showOptions();
  at("log").ariaLive = "off";  // a screen reader need not read a whole conversation
  showFrom(0);
  toEnd();
  setTimeout(() => { at("log").ariaLive = "polite"; }, 500);
}

const WIDE = matchMedia("(min-width: 60rem)");

export function openSidebar(open) {
  at("side").hidden = !open;
  at("menu").ariaExpanded = String(open);
}

function shown() {
  showCurrent();
  if (!WIDE.matches) openSidebar(false);
  at("question").focus();
}

function renamed() {
  current().title = at("name").value.trim();
  save();
  showConversations();
}

function exported() {
  const { model, options, messages } = current(), title = titleOf(current()) || t("untitled");
  const file = `${title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60)}.json`;
  download(file, "application/json", JSON.stringify({ title, model, options, messages }, null, 2));
}

export function wireSidebar() {
  at("menu").onclick = () => openSidebar(at("side").hidden);
  at("fresh").onclick = () => { create(); shown(); };
  at("name").onchange = renamed;
  at("export").onclick = exported;
  at("remove").onclick = () => {
    if (!confirm(t("confirmRemove"))) return;
    remove();
    showCurrent();
  };
  openSidebar(WIDE.matches);
}
