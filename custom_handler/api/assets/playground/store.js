// The conversations, kept in the tab's storage: another tab has its own, and closing the tab forgets them.

import { randomId } from "./dom.js";

// {id, title, model, options: {system, temperature, top_p, max_tokens, json, tools, params}, messages}
// A message is {role, content, tool_calls?, tool_call_id?, attachments?, annotations?, facts?}.

const NAME = "conversations";
const NO_OPTIONS = { system: "", temperature: "", top_p: "", max_tokens: "", json: false, tools: "", params: "" };

let state = { current: "", list: [] };

export const conversations = () => state.list;
export const current = () => state.list.find(({ id }) => id === state.current);

export function restore() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(NAME));
    if (Array.isArray(kept?.list)) state = kept;
  } catch { /* nothing that this page wrote */ }
  if (!current()) create();
}

// Begin a conversation, with the options of the current one. An empty one is used again.
export function create() {
  const options = { ...(current()?.options ?? NO_OPTIONS) };
  state.list = state.list.filter(({ messages }) => messages.length);
  const made = { id: randomId(), title: "", model: "", options, messages: [] };
  state.list.unshift(made);
  state.current = made.id;
  save();
}

export function choose(id) {
  state.current = id;
  save();
}

export function remove() {
  state.list = state.list.filter(({ id }) => id !== state.current);
  state.current = state.list[0]?.id ?? "";
  if (!current()) create();
  save();
}

// Keep everything; where it is too much for the tab's storage (5 MB in most browsers), without the contents of files.
export function save() {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(state));
  } catch {
    const light = JSON.stringify(state, (key, value) => (key === "data" ? null : value));
    try { sessionStorage.setItem(NAME, light); } catch { /* too long even so: kept until the page is left */ }
  }
}

export function titleOf({ title, messages }) {
  return title || messages.find(({ role }) => role === "user")?.content.trim().slice(0, 60) || "";
}

// The calls of the last answer whose results are still missing.
export function openCalls({ messages }) {
  const answered = new Set(messages.filter(({ role }) => role === "tool").map((message) => message.tool_call_id));
  const last = messages.findLast(({ role }) => role !== "tool");
  return (last?.tool_calls ?? []).filter(({ id }) => !answered.has(id));
}
