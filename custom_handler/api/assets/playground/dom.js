// Elements of the page.

export const at = (id) => document.getElementById(id);

export function element(parent, tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;  // never HTML: what a model writes is text
  if (className) made.className = className;
  parent.append(made);
  return made;
}

let ids = 0;

// A field under its own label, which `label` fills.
export function labelled(parent, tag, label) {
  const frame = element(parent, "div", "", "field"), name = element(frame, "label"), field = element(frame, tag);
  field.id = name.htmlFor = `field-${++ids}`;
  label(name);
  return field;
}

// A random id; `crypto.randomUUID` exists on https and localhost only.
export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
