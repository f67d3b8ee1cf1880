// The request as code: curl, Python and JavaScript. The key is never in it.

import { at, element } from "./dom.js";
import { finishCode } from "./markdown.js";
import { BadOption, requestBody } from "./request.js";
import { current } from "./store.js";
import { t } from "./texts.js";

const LONGEST = 200;  // characters of a data URL

// The request that Send would make now; without a question, the one that the last answer is for.
function shownBody() {
  const conversation = current(), question = at("question").value.trim(), { messages } = conversation;
  const kept = messages.slice(0, messages.findLastIndex(({ role }) => role !== "assistant") + 1);
  const asked = question || !kept.length ? [...messages, { role: "user", content: question || "…" }] : kept;
  return JSON.parse(JSON.stringify(requestBody({ ...conversation, messages: asked }, at("model").value), (key, value) =>
    typeof value === "string" && value.startsWith("data:") && value.length > LONGEST ? `${value.slice(0, 40)}…` : value));
}

const address = () => new URL("v1", location.href).href;

function curl(body) {
  const data = JSON.stringify(body, null, 2).replaceAll("'", String.raw`'\''`);
  return `curl ${address()}/chat/completions \\\n  -H "Authorization: Bearer $PROXY_KEY" \\\n  -H 'Content-Type: application/json' \\\n  -d '${data}'`;
}

// A value as Python writes it. JSON's texts and numbers are Python's too.
function pythonValue(value, indent) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `, isList = Array.isArray(value);
  const items = isList ? value.map((item) => inner + pythonValue(item, inner))
    : Object.entries(value).map(([name, item]) => `${inner}${JSON.stringify(name)}: ${pythonValue(item, inner)}`);
  if (!items.length) return isList ? "[]" : "{}";
  return `${isList ? "[" : "{"}\n${items.join(",\n")},\n${indent}${isList ? "]" : "}"}`;
}

function python({ model, messages, ...others }) {
  // What the SDK does not know as an argument goes into the body by `extra_body`.
  const known = ["temperature", "top_p", "max_tokens", "tools", "tool_choice", "response_format", "stop", "seed"];
  const named = Object.entries({ model, messages, ...others }).filter(([name]) => name in { model, messages } || known.includes(name));
  const extra = Object.fromEntries(Object.entries(others).filter(([name]) => !known.includes(name)));
  if (Object.keys(extra).length) named.push(["extra_body", extra]);
  const lines = named.map(([name, value]) => `    ${name}=${pythonValue(value, "    ")},`);
  return [
    "import os", "", "from openai import OpenAI", "", `client = OpenAI(base_url="${address()}", api_key=os.environ["PROXY_KEY"])`,
    "answer = client.chat.completions.create(", ...lines, ")", "print(answer.choices[0].message.to_json())",
  ].join("\n");
}

function javascript(body) {
  return [
    `const response = await fetch("${address()}/chat/completions", {`, '  method: "POST",',
    '  headers: { "Authorization": `Bearer ${process.env.PROXY_KEY}`, "Content-Type": "application/json" },',
    `  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),`, "});",
    "const answer = await response.json();", "console.log(JSON.stringify(answer.choices[0].message, null, 2));",
  ].join("\n");
}

const LANGUAGES = { curl: ["bash", curl], python: ["python", python], javascript: ["javascript", javascript] };

function show() {
  const [language, write] = LANGUAGES[at("code-language").value];
  let text;
  try {
    text = write(shownBody());
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    text = t(error.message);
  }
  at("code-text").replaceChildren();
  element(element(at("code-text"), "pre"), "code", text, `language-${language}`);
  finishCode(at("code-text"));
}

export function wireCode() {
  at("open-code").onclick = () => { show(); at("code").showModal(); };
  at("code-language").onchange = show;
}
