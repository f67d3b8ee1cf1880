// The log follows the answer until the reader scrolls up.

import { at } from "./dom.js";

const CLOSE = 4;  // pixels: browsers round

const log = at("log");
let following = true, lastTop = 0;

function look() {
  const atEnd = log.scrollHeight - log.clientHeight - log.scrollTop < CLOSE;
  if (atEnd) following = true;
  else if (log.scrollTop < lastTop) following = false;  // growth alone does not move it
  lastTop = log.scrollTop;
  at("latest").hidden = following || atEnd;
}

log.addEventListener("scroll", look);
at("latest").onclick = () => toEnd();

// To be called when the log has grown. The event of a scroll may still be on its way.
export function follow() {
  if (log.scrollTop < lastTop) look();
  if (!following) return;
  log.scrollTop = log.scrollHeight;
  lastTop = log.scrollTop;
}

export function toEnd() {
  following = true;
  at("latest").hidden = true;
  follow();
}
