// The page: what its fields and buttons do.

import { clearAttached, showAttached, wireAttachments } from "./attachments.js";
import { complain, showError } from "./cards.js";
import { ask, keepAnswer, setButtons, stop } from "./chat.js";
import { wireCode } from "./code.js";
import { at } from "./dom.js";
import { restoreKey } from "./key.js";
import { loadModels, openAccess, showModel } from "./models.js";
import { wireOptions } from "./options.js";
import { showQuota } from "./quota.js";
import { hasCode } from "./session.js";
import { showConversations, showCurrent, wireSidebar } from "./sidebar.js";
import { restore } from "./store.js";
import { restoreLanguage, t, translate } from "./texts.js";

async function signIn() {
  stop();
  const failure = await loadModels();
  showCurrent();
  if (failure) showError(failure);
  setButtons();
  if (at("model").value && document.activeElement === document.body) at("question").focus();
}

async function open() {
  const problem = await restoreKey();
  await signIn();
  if (problem) complain(t(problem));
}

function newLanguage() {
  translate();
  showQuota();
  showAttached();
  if (at("stop").disabled) showCurrent();
}

restoreLanguage();
restore();
wireSidebar();
wireOptions();
wireCode();
wireAttachments();
at("language").onchange = newLanguage;
at("key").onchange = signIn;
at("access").onsubmit = (event) => event.preventDefault();  // Enter is a change of the field
at("change-key").onclick = () => { openAccess(true); at("key").focus(); };
at("model").onchange = () => { showModel(); clearAttached(); };
at("form").onsubmit = ask;
at("question").onkeydown = (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) ask(event); };
document.onkeydown = (event) => { if (event.key === "Escape" && !document.querySelector("dialog[open]")) stop(); };
at("stop").onclick = () => { stop(); at("question").focus(); };
for (const button of document.querySelectorAll("dialog .close")) button.onclick = () => button.closest("dialog").close();
window.onpagehide = keepAnswer;
showConversations();
window.onhashchange = () => { if (hasCode()) open(); };  // a code pasted into the address of this tab
await open();
