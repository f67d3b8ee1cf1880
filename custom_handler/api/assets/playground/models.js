// The models that the key may call.

import { complain } from "./cards.js";
import { busy, drop } from "./chat.js";
import { at } from "./dom.js";
import { authorization, currentKey, rememberKey } from "./key.js";
import { forgetQuota, loadQuota } from "./quota.js";
import { t } from "./texts.js";

export async function loadModels() {
  rememberKey();
  drop();
  const select = at("model"), wanted = sessionStorage.getItem("model");
  select.replaceChildren();
  select.disabled = at("question").disabled = true;
  if (currentKey()) {
    try {
      const reply = await fetch("models", { headers: authorization() });
      const told = await reply.json();
      if (!reply.ok) complain(told.error?.message ?? `${reply.status}`);
      else for (const { id } of told.data) select.append(new Option(id, id, false, id === wanted));
    } catch { complain(t("unreachable")); }
  }
  select.disabled = at("question").disabled = select.length === 0;
  busy(false);
  forgetQuota();
  if (select.length) loadQuota();
  if (select.length && document.activeElement === document.body) at("question").focus();
}
