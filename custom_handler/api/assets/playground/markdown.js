// Markdown of a model as elements: marked parses it, DOMPurify sanitises, highlight.js colours code.

import { element } from "./dom.js";
import { translated } from "./texts.js";
import hljs from "./vendor/highlight.min.js";
import { Marked } from "./vendor/marked.esm.js";
import "./vendor/purify.min.js";  // sets globalThis.DOMPurify

// Tags without attributes that models write within Markdown. Any other tag is shown as text: nothing of an answer is lost.
const PLAIN_TAG = /<\/?(?:b|br|code|dd|del|details|dl|dt|em|i|ins|kbd|mark|p|s|small|strong|sub|summary|sup|u)\s*\/?>/gi;
const TAGS = [
  "a", "b", "blockquote", "br", "code", "dd", "del", "details", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "input",
  "ins", "kbd", "li", "mark", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th",
  "thead", "tr", "u", "ul",
];
const ATTRIBUTES = ["align", "checked", "class", "disabled", "href", "start", "type"];
const LARGEST_HIGHLIGHTED = 50_000;  // characters: highlight.js needs some 100 ms for them
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const escaped = (text) => text.replace(/[&<>"']/g, (character) => ENTITIES[character]);

function safeHtml(text) {
  let html = "", end = 0;
  for (const tag of text.matchAll(PLAIN_TAG)) {
    html += escaped(text.slice(end, tag.index)) + tag[0];
    end = tag.index + tag[0].length;
  }
  return html + escaped(text.slice(end));
}

const parser = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => safeHtml(text),
    // A picture from elsewhere would tell its host who reads this, so its address is shown.
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
    code: ({ text, lang }) => `<pre><code class="language-${escaped((lang ?? "").split(/\s/)[0])}">${escaped(text)}</code></pre>`,
  },
});

function rendered(tokens) {
  const fragment = globalThis.DOMPurify.sanitize(parser.parser(tokens), {
    ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ATTRIBUTES, ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false, RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    if (/^https?:/.test(link.getAttribute("href") ?? "")) continue;
    link.replaceWith(...link.childNodes);  // an address within this page, or of another program
  }
  for (const table of fragment.querySelectorAll("table")) {
    const frame = document.createElement("div");
    frame.className = "wide";
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

// Colour the code, and put its language and a copy button above it.
export function finishCode(parent) {
  for (const code of parent.querySelectorAll("pre > code")) {
    const pre = code.parentElement, language = /language-(\S+)/.exec(code.className)?.[1] ?? "", text = code.textContent;
    if (pre.parentElement?.className === "code") continue;
    code.className = "hljs";
    if (hljs.getLanguage(language) && text.length <= LARGEST_HIGHLIGHTED) {
      code.replaceChildren(globalThis.DOMPurify.sanitize(hljs.highlight(text, { language, ignoreIllegals: true }).value, {
        ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true,
      }));
    }
    const frame = document.createElement("div");
    frame.className = "code";
    pre.replaceWith(frame);
    const bar = element(frame, "div", "", "bar");
    element(bar, "span", language);
    copyButton(bar, () => text);
    frame.append(pre);
    pre.tabIndex = 0;  // it scrolls to the side, with the keyboard too
  }
}

export function copyButton(parent, text) {
  const button = translated(element(parent, "button", "", "copy"), "copy");
  button.type = "button";
  button.onclick = async () => {
    translated(button, (await copied(text())) ? "copied" : "notCopied");
    setTimeout(() => translated(button, "copy"), 2000);
  };
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {  // without https, on another address than localhost, there is no clipboard
    const area = element(document.activeElement?.closest("dialog") ?? document.body, "textarea", "", "unseen");
    area.value = text;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// Markdown that arrives in pieces. A block that another one follows is final, so each is rendered a few times, not with each piece.
export class MarkdownView {
  constructor(parent) {
    this.parent = parent;
    this.text = "";
    this.final = 0;  // how much of the text is in final blocks
    this.tail = [];  // the elements of the last block
    this.timer = 0;
    this.cost = 0;  // milliseconds of the last rendering
    this.isPlain = false;  // whether it is shown as it was written
  }

  write(piece) {
    this.text += piece.replaceAll("\r", "");
    this.timer ||= setTimeout(() => this.render(), Math.max(30, 4 * this.cost));
  }

  render() {
    const began = performance.now();
    this.stop();
    try {
      if (!this.isPlain) this.renderRest();
    } catch {  // nested so deeply that marked gives up
      this.isPlain = true;
    }
    if (this.isPlain) this.renderPlain();
    this.cost = performance.now() - began;
    this.onrender?.();
  }

  renderRest() {
    const tokens = parser.lexer(this.text.slice(this.final));
    const last = tokens.splice(tokens.findLastIndex(({ type }) => type !== "space"));  // empty lines may go on with a list
    const ready = rendered(tokens), tail = rendered(last);
    finishCode(ready);
    this.clearTail();
    this.tail = [...tail.childNodes];
    this.parent.append(ready, tail);
    this.final += tokens.reduce((length, token) => length + token.raw.length, 0);
  }

  renderPlain() {
    this.parent.replaceChildren();
    element(this.parent, "p", this.text, "plain");
  }

  // Render the whole text at once: a link may have its address at the end.
  finish() {
    this.stop();
    try {
      const fragment = rendered(parser.lexer(this.text));
      finishCode(fragment);
      this.parent.replaceChildren(fragment);
    } catch {
      this.renderPlain();
    }
  }

  clearTail() {
    for (const node of this.tail) node.remove();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
  }
}

export function showMarkdown(parent, text) {
  const view = new MarkdownView(parent);
  view.text = text;
  view.finish();
}
