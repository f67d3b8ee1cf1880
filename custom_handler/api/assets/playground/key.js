// The key of the proxy. It is kept in the tab's storage, and sent to this proxy only.

import { at } from "./dom.js";

const NAME = "key";

export const currentKey = () => at("key").value.trim();

export const authorization = () => ({ authorization: `Bearer ${currentKey()}` });

export function rememberKey() {
  sessionStorage.setItem(NAME, currentKey());
}

// Fill the field when the page opens.
export async function restoreKey() {
  at("key").value = sessionStorage.getItem(NAME) ?? "";
}
