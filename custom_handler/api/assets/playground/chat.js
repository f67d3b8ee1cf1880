// Ask the model for the next message of the conversation.

import { attached, clearAttached } from "./attachments.js";
import { actions, complain, showAnswering, showError, showFrom } from "./cards.js";
import { Failure, complete } from "./completion.js";
import { at } from "./dom.js";
import { loadQuota } from "./quota.js";
import { BadOption, requestBody } from "./request.js";
import { toEnd } from "./scroll.js";
import { showConversations } from "./sidebar.js";
import { current, openCalls, save } from "./store.js";
import { t } from "./texts.js";

let running = null;  // the AbortController of the answer that is arriving, and the message so far

export function setButtons() {
  const ready = at("model").value !== "";
  at("question").disabled = !ready;
  at("send").disabled = !ready || running !== null;
  at("stop").disabled = running === null;
  document.body.classList.toggle("running", running !== null);
  at("log").ariaBusy = String(running !== null);  // a screen reader reads the answer when it is complete
  for (const button of document.querySelectorAll(".idle")) button.disabled = running !== null;
}

export function ask(event) {
  event.preventDefault();
  const content = at("question").value, { messages } = current();
  if (!content.trim() || at("send").disabled) return;
  if (openCalls(current()).length) {
    complain(t("callsOpen"));
    return;
  }
  if (!body()) return;
  messages.push({ role: "user", content, attachments: attached() });
  at("question").value = "";
  clearAttached();
  goOn(messages.length - 1);
}

actions.edit = (index, content) => {
  const { messages } = current();
  messages.splice(index, messages.length, { ...messages[index], content });
  goOn(index);
};

actions.regenerate = (index) => {
  current().messages.splice(index);
  goOn(index);
};

actions.results = (pairs) => {
  const { messages } = current(), index = messages.findLastIndex(({ role }) => role === "assistant");
  messages.push(...pairs.map(([id, content]) => ({ role: "tool", tool_call_id: id, content })));
  goOn(index);
};

actions.retry = () => goOn(current().messages.length);

// Show the conversation from `index` on, and ask for the next message.
function goOn(index) {
  save();
  showFrom(index);
  showConversations();
  toEnd();
  answer();
}

function body() {
  try {
    return requestBody(current(), at("model").value);
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    complain(t(error.message));
    return null;
  }
}

async function answer() {
  const conversation = current(), { messages } = conversation, asked = body();
  if (!asked || running) return;
  const index = messages.length, message = { role: "assistant", content: "" }, card = showAnswering(index);
  const began = performance.now(), seconds = () => `${((performance.now() - began) / 1000).toFixed(2)} s`;
  let first = null, failure = null;
  running = { stopper: new AbortController(), keep: () => messages[index] ?? (message.content && messages.push(message)) };
  conversation.model = asked.model;
  at("status").textContent = t("answering");
  setButtons();
  try {
    const received = await complete(asked, running.stopper.signal, (soFar, piece) => {
      first ??= seconds();
      message.content = soFar.content;
      card.view.write(piece);
    });
    Object.assign(message, {
      content: received.content, tool_calls: received.tool_calls, annotations: received.annotations, facts: factsOf(asked.model, received, first, seconds()),
    });
    if (message.content || message.tool_calls.length) messages[index] = message;
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof Failure)) throw error;
    failure = error;
    if (message.content) messages[index] = message;
  } finally {
    running = null;
    card.remove();
    save();
    showFrom(index);
    if (failure instanceof Failure) showError(failure, !message.content);
    else if (failure) complain(t("stopped"));
    at("status").textContent = failure ? "" : t("done");
    setButtons();
    loadQuota();
  }
}

function factsOf(model, { usage, finish, headers, correlation }, first, time) {
  const header = (name) => headers.get(name), left = header("x-ratelimit-remaining-requests");
  const cost = usage?.cost ?? Number(header("x-litellm-response-cost") ?? header("x-litellm-response-cost-original") ?? 0);
  return [
    ["model", header("x-litellm-model-group") ?? model], ["first", first], ["time", time],
    ["tokens", usage && `${usage.prompt_tokens} + ${usage.completion_tokens} = ${usage.total_tokens}`],
    ["cost", cost && `$${Number(cost.toPrecision(3))}`],
    ["left", left && `${left} / ${header("x-ratelimit-limit-requests")} (${header("x-ratelimit-reset-requests")})`],
    ["cache", header("x-stackspot-cache")], ["ended", ["stop", "tool_calls"].includes(finish) ? "" : finish],
    ["correlation", correlation], ["request", header("x-request-id")],
  ].filter(([, value]) => value);
}

export function stop() {
  running?.stopper.abort();
}

// When the page is left: keep what has arrived.
export function keepAnswer() {
  if (!running) return;
  running.keep();
  save();
}
