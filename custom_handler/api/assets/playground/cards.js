// The cards of the log: one for each message of the conversation, and for errors.

import { element, at, labelled } from "./dom.js";
import { showFailure } from "./errors.js";
import { MarkdownView, copyButton, showMarkdown } from "./markdown.js";
import { follow } from "./scroll.js";
import { current, openCalls } from "./store.js";
import { formatted, t, translated } from "./texts.js";

// What the buttons of a card do; `chat.js` sets it: {edit(index, text), regenerate(index), results(pairs), retry()}.
export const actions = {};

// Show the messages of the conversation from `index` on, in the place of what is there.
export function showFrom(index) {
  const { messages } = current();
  for (const card of [...at("log").querySelectorAll("article")]) {
    if (card.dataset.index === undefined || Number(card.dataset.index) >= index) card.remove();
  }
  messages.slice(index).forEach((message, offset) => showMessage(message, index + offset));
  at("empty").hidden = messages.length > 0;
  follow();
}

function newCard(className, index, name) {
  const card = element(at("log"), "article", "", className);
  if (index !== undefined) card.dataset.index = index;
  if (name) translated(element(card, "h2", "", "unseen"), name);
  return card;
}

function showMessage(message, index) {
  ({ user: showQuestion, assistant: showAnswer, tool: showResult })[message.role](message, index);
}

function buttons(card) {
  return element(card, "div", "", "buttons");
}

function button(parent, name, action) {
  const made = translated(element(parent, "button", "", "idle"), name);
  made.type = "button";
  made.onclick = action;
  return made;
}

function showQuestion({ content, attachments = [] }, index) {
  const card = newCard("mine", index, "you");
  element(card, "p", content);
  for (const { name, type, data } of attachments) {
    if (data && type.startsWith("image/")) Object.assign(element(card, "img"), { src: data, alt: name });
    else element(card, "p", data ? name : formatted("lostFile", name), "file");
  }
  const bar = buttons(card);
  copyButton(bar, () => content);
  button(bar, "edit", () => editQuestion(card, content, index));
}

function editQuestion(card, content, index) {
  card.replaceChildren();
  const field = labelled(card, "textarea", (label) => translated(label, "question")), bar = buttons(card);
  field.value = content;
  field.rows = Math.min(10, content.split("\n").length + 1);
  button(bar, "send", () => field.value.trim() && actions.edit(index, field.value)).classList.add("main");
  button(bar, "cancel", () => showFrom(index));
  field.focus();
}

function showAnswer(message, index) {
  const card = newCard("", index, "answer");
  showMarkdown(element(card, "div", "", "markdown"), message.content);
  finishAnswer(card, message, index);
}

// A card whose text is still to come: `view.write`, then `showFrom` its index.
export function showAnswering(index) {
  const card = newCard("", index, "answer"), body = element(card, "div", "", "markdown answering");
  at("empty").hidden = true;
  const view = new MarkdownView(body);
  view.onrender = follow;
  follow();
  return { view, remove: () => { view.stop(); card.remove(); } };
}

function finishAnswer(card, message, index) {
  const isLast = current().messages.slice(index + 1).every(({ role }) => role === "tool");
  const open = isLast ? openCalls(current()) : [];
  for (const { id, function: called } of message.tool_calls ?? []) {
    element(card, "pre", `${t("calls")} ${called.name}(${called.arguments})`).dataset.call = id;
  }
  showSources(card, message.annotations ?? []);
  if (open.length) askResults(card, open);
  facts(card, message.facts ?? []);
  const bar = buttons(card);
  if (message.content) copyButton(bar, () => message.content);
  button(bar, "again", () => actions.regenerate(index));
}

function askResults(card, open) {
  const form = element(card, "form", "", "results"), fields = open.map(({ id, function: { name } }) => {
    const field = labelled(form, "textarea", (label) => { label.textContent = formatted("result", name); });
    field.rows = 2;
    return { id, field };
  });
  const send = translated(element(form, "button", "", "main idle"), "sendResults");
  form.onsubmit = (event) => {
    event.preventDefault();
    if (!send.disabled) actions.results(fields.map(({ id, field }) => [id, field.value]));
  };
}

function showResult({ content, tool_call_id: id }, index) {
  const card = newCard("result", index);
  const called = current().messages.flatMap((message) => message.tool_calls ?? []).find((call) => call.id === id);
  element(card, "h2", formatted("result", called?.function.name ?? id));
  element(card, "pre", content);
}

function showSources(card, annotations) {
  const cited = annotations.map((annotation) => annotation.url_citation).filter(Boolean);
  if (!cited.length) return;
  translated(element(card, "h3"), "sources");
  const list = element(card, "ol", "", "sources");
  for (const { url = "", title } of cited) {
    const line = element(list, "li");
    if (!/^https?:\/\//.test(url)) element(line, "span", title || url);
    else Object.assign(element(line, "a", title || url), { href: url, target: "_blank", rel: "noopener noreferrer" });
  }
}

// Pairs of the name of a text and a value.
function facts(card, pairs) {
  if (!pairs.length) return;
  const list = element(card, "dl");
  for (const [name, value] of pairs) {
    const pair = element(list, "div");
    translated(element(pair, "dt"), name);
    element(pair, "dd", value);
  }
}

export function complain(text) {
  const card = newCard("bad");
  element(card, "p", text);
  card.setAttribute("role", "alert");
  follow();
}

export function showError(failure, again) {
  const card = newCard("bad");
  showFailure(card, failure);
  if (again) button(buttons(card), "retry", actions.retry);
  card.setAttribute("role", "alert");
  follow();
}
