// The options of a conversation: system prompt, parameters, tools, JSON mode.

import { at } from "./dom.js";
import { BadOption, parameters } from "./request.js";
import { current, save } from "./store.js";
import { t } from "./texts.js";

const FIELDS = ["system", "temperature", "top_p", "max_tokens", "tools", "params"];

export function showOptions() {
  const { options } = current();
  for (const name of FIELDS) at(name).value = options[name];
  at("json").checked = options.json;
  showProblem();
}

function showProblem() {
  let problem = "";
  try {
    parameters(current().options);
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    problem = t(error.message);
  }
  at("problem").textContent = problem;
}

function take() {
  const { options } = current();
  for (const name of FIELDS) options[name] = at(name).value;
  options.json = at("json").checked;
  save();
  showProblem();
}

export function wireOptions() {
  for (const name of [...FIELDS, "json"]) at(name).oninput = take;
  at("open-options").onclick = () => at("options").showModal();
}
