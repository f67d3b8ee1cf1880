// Files that go with the next question, where the model takes some.

import { complain } from "./cards.js";
import { at, element } from "./dom.js";
import { takes } from "./models.js";
import { formatted } from "./texts.js";

let files = [];  // {name, type, data: a data URL}

export const attached = () => files;

export function clearAttached() {
  files = [];
  showAttached();
}

export function showAttached() {
  at("attached").replaceChildren();
  for (const file of files) {
    const button = element(element(at("attached"), "li", `${file.name} `), "button", "×");
    button.type = "button";
    button.ariaLabel = formatted("dropFile", file.name);
    button.onclick = () => { files = files.filter((other) => other !== file); showAttached(); };
  }
}

async function attach(list) {
  for (const file of list) {
    if (!takes(file.type)) {
      complain(formatted("unreadType", file.name));
      continue;
    }
    try {
      files = [...files, { name: file.name, type: file.type, data: await dataUrl(file) }];
    } catch {
      complain(formatted("unreadFile", file.name));
    }
  }
  showAttached();
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = reject;
    reader.readAsDataURL(file);
  });
}

export function wireAttachments() {
  at("attach").onclick = () => at("files").click();
  at("files").onchange = async () => { await attach([...at("files").files]); at("files").value = ""; };
  at("question").addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) attach([...event.clipboardData.files]);
  });
  at("form").ondragover = (event) => event.preventDefault();
  at("form").ondrop = (event) => { event.preventDefault(); attach([...event.dataTransfer.files]); };
}
