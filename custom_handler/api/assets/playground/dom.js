// Elements of the page.

export const at = (id) => document.getElementById(id);

export function element(parent, tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;  // never HTML: what a model writes is text
  made.className = className;
  parent.append(made);
  return made;
}

export function facts(card, pairs) {
  const list = element(card, "dl");
  for (const [name, value] of pairs) {
    if (value === undefined || value === null || value === "") continue;
    const pair = element(list, "div");
    element(pair, "dt", name);
    element(pair, "dd", String(value));
  }
}
