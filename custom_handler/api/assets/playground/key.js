// The key of the proxy. It is kept in the tab's storage, and sent to this proxy only.

import { at } from "./dom.js";
import { exchangeCode, hasCode } from "./session.js";

const NAME = "key";

export const currentKey = () => at("key").value.trim();

export const authorization = () => ({ authorization: `Bearer ${currentKey()}` });

export function rememberKey() {
  sessionStorage.setItem(NAME, currentKey());
}

// Fill the field: with the key for the code of the address, else with that of this tab. Returns the name of what failed.
export async function restoreKey() {
  const { key, problem } = hasCode() ? await exchangeCode() : {};
  at("key").value = key ?? sessionStorage.getItem(NAME) ?? "";
  return problem;
}
