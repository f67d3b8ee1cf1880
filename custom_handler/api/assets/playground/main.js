// The page: what its fields and buttons do.

import { ask, busy, drop, stop } from "./chat.js";
import { at } from "./dom.js";
import { restoreKey } from "./key.js";
import { loadModels } from "./models.js";
import { showQuota } from "./quota.js";
import { initialLanguage, translate } from "./texts.js";

at("language").onchange = () => { translate(); showQuota(); };
at("key").onchange = loadModels;
at("model").onchange = () => sessionStorage.setItem("model", at("model").value);
at("form").onsubmit = ask;
at("question").onkeydown = (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) ask(event); };
document.onkeydown = (event) => { if (event.key === "Escape") stop(); };
at("stop").onclick = stop;
at("fresh").onclick = () => {
  drop();
  at("log").replaceChildren(at("empty"));
  at("empty").hidden = false;
  busy(false);
  at("question").focus();
};

at("language").value = initialLanguage();
translate();
await restoreKey();
loadModels();
