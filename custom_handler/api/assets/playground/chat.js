// One conversation over the WebSocket: questions, answers, errors.

import { complain, show, showAnswer } from "./cards.js";
import { at, element, facts } from "./dom.js";
import { currentKey } from "./key.js";
import { loadQuota } from "./quota.js";
import { t } from "./texts.js";

let socket = null, sessionId = "", answer = null;

export function busy(on) {
  at("send").disabled = on || !at("model").value;
  at("stop").disabled = !on;
  if (!on) {
    if (answer) loadQuota();
    answer?.view.finish();
    answer?.body.classList.remove("answering");
    answer = null;
  }
}

export function drop() {
  const dropped = socket;
  socket = null;
  sessionId = "";
  dropped?.close();
}

function connected() {
  if (socket) return Promise.resolve();
  const address = new URL("ws/chat/completions", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.search = new URLSearchParams({ api_key: currentKey() });
  sessionId = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const opening = socket = new WebSocket(address);
  opening.onmessage = ({ data }) => receive(JSON.parse(data));
  return new Promise((resolve, reject) => {
    opening.onopen = resolve;
    opening.onclose = () => {
      reject();
      if (socket !== opening) return;  // dropped on purpose
      drop();
      complain(t("closed"));
      busy(false);
    };
  });
}

function receive(message) {
  const seconds = answer && `${((performance.now() - answer.began) / 1000).toFixed(2)} s`;
  if (message.type === "error") {
    if (answer && !answer.view.text) answer.card.remove();
    complain(`${message.code}: ${message.message}`);
    busy(false);
    return;
  }
  if (!answer) return;
  if (message.type === "start") answer.start = message;
  if (message.type === "token") { answer.first ??= seconds; answer.view.write(message.text); }
  if (message.type === "end") {
    for (const { function: called } of message.tool_calls ?? []) element(answer.card, "pre", `${t("calls")} ${called.name}(${called.arguments})`);
    const { usage } = message, { start } = answer;
    facts(answer.card, [
      [t("model").toLowerCase(), start.model], [t("provider"), start.provider], [t("first"), answer.first], [t("time"), seconds],
      [t("tokens"), usage && `${usage.prompt_tokens} + ${usage.completion_tokens} = ${usage.total_tokens}`],
      [t("sources"), (message.annotations ?? []).map(({ url_citation: cited }) => cited?.title).filter(Boolean).join(", ")],
      [t("correlation"), start.correlation_id], [t("request"), start.request_id],
    ]);
  }
  answer.card.scrollIntoView({ block: "end" });
  if (message.type === "end") busy(false);
}

function parameters() {
  const text = at("params").value.trim(), given = text ? JSON.parse(text) : {};
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw new TypeError();
  return given;
}

export async function ask(event) {
  event.preventDefault();
  const question = at("question").value, model = at("model").value;
  if (!question.trim() || at("send").disabled) return;
  let params;
  try { params = parameters(); } catch { complain(t("badParams")); return; }
  show("mine", question);
  at("question").value = "";
  busy(true);
  answer = { ...showAnswer(), began: performance.now(), start: {} };
  answer.body.classList.add("answering");
  try { await connected(); } catch { return; }
  socket.send(JSON.stringify({ question, session_id: sessionId, model, params }));
}

export function stop() {
  if (at("stop").disabled) return;
  drop();
  facts(answer.card, [["", t("stopped")]]);
  busy(false);
  at("question").focus();
}

