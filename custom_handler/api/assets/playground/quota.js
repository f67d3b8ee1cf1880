// The line about the quota of the account and of the key. It is read when something has happened, never by a timer.

import { at } from "./dom.js";
import { authorization, currentKey } from "./key.js";
import { t } from "./texts.js";

let quota = null;

export async function loadQuota() {
  const key = currentKey();
  let found = null;
  try {
    const reply = await fetch("quota", { headers: authorization() });
    if (reply.ok) found = await reply.json();
  } catch { /* without the line the page is complete */ }
  if (key !== currentKey()) return;
  quota = found;
  showQuota();
}

export function forgetQuota() {
  quota = null;
  showQuota();
}

export function showQuota() {
  at("quota").hidden = quota === null;
  if (quota === null) return;
  const part = (name, used, limit) => `${t(name)}: ${used}${limit === null ? "" : ` ${t("of")} ${limit}`}`;
  const { limit, keys: [own, ...others], paused_until: paused } = quota;
  const parts = [part("minute", quota.used, limit)];
  if (own && !others.length) parts.push(part("own", own.used, own.share < 1 && limit ? Math.max(1, Math.floor(own.share * limit)) : null));
  if (quota.day.limit !== null) parts.push(part("day", quota.day.used, quota.day.limit));
  if (quota.waiting) parts.push(part("waiting", quota.waiting, null));
  if (paused !== null) parts.push(`${t("paused")} ${new Date(paused * 1000).toLocaleTimeString(document.documentElement.lang)}`);
  at("quota").textContent = parts.join(" · ");
}
