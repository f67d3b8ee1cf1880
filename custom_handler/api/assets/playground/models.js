// The models that answer chats, of those that the key may call.

import { Failure, errorObject } from "./completion.js";
import { at } from "./dom.js";
import { authorization, currentKey, rememberKey } from "./key.js";
import { forgetQuota, loadQuota } from "./quota.js";
import { translated } from "./texts.js";

let models = [];  // {id, images, files, simulated}

const chosen = () => models.find(({ id }) => id === at("model").value);

// Whether the chosen model reads files of a type.
export function takes(type) {
  return type.startsWith("image/") ? Boolean(chosen()?.images) : Boolean(chosen()?.files);
}

// Load the models of the key. Returns a Failure, or null.
export async function loadModels() {
  rememberKey();
  const key = currentKey();
  let failure = null, found = [];
  try {
    if (key) found = await fetched();
  } catch (error) {
    failure = error instanceof Failure ? error : new Failure(0, null);
  }
  if (key !== currentKey()) return null;
  models = found;
  const wanted = sessionStorage.getItem("model");
  at("model").replaceChildren(...models.map(({ id }) => new Option(id, id, false, id === wanted)));
  at("model").disabled = at("model").hidden = models.length === 0;
  openAccess(models.length === 0);
  translated(at("empty"), models.length ? "empty" : key && !failure ? "noModels" : "noKey");
  showModel();
  forgetQuota();
  if (models.length) loadQuota();
  return failure;
}

async function fetched() {
  const response = await fetch("playground/models", { headers: authorization() });
  if (response.ok) return (await response.json()).data;
  throw new Failure(response.status, await errorObject(response), response.headers);
}

export function openAccess(open) {
  at("access").hidden = !open;
}

// What depends on the chosen model.
export function showModel() {
  const model = chosen();
  if (model) sessionStorage.setItem("model", model.id);
  at("badge").hidden = !model?.simulated;
  at("attach").hidden = !model?.images && !model?.files;
  at("files").accept = model?.files ? "" : "image/*";
}
