// Errors in one sentence of the page's language, with what the proxy says folded below.

import { element } from "./dom.js";
import { formatted, t, translated } from "./texts.js";

const BY_CODE = {
  context_length_exceeded: "errorTooLong", content_policy_violation: "errorFiltered", model_disabled: "errorDisabled",
  budget_exceeded: "errorBudget", insufficient_quota: "errorCredit", model_not_found: "errorModel",
};
const BY_STATUS = {
  0: "errorUnreachable", 401: "errorKey", 403: "errorForbidden", 404: "errorModel", 408: "errorTimeout", 413: "errorLarge", 429: "errorRate",
  502: "errorUpstream", 503: "errorBusy", 504: "errorTimeout",
};

// The name of the sentence for a failure of `completion.js`.
export function sentence({ status, error }) {
  return BY_CODE[error.code] ?? BY_CODE[error.type] ?? BY_STATUS[status] ?? (status < 500 ? "errorRequest" : "errorServer");
}

export function showFailure(card, failure) {
  translated(element(card, "p"), sentence(failure));
  const wait = failure.headers.get("retry-after");
  if (wait) element(card, "p", formatted("retryAfter", wait));
  const { status, error, headers } = failure, id = headers.get("x-request-id");
  if (!status) return;
  const details = element(card, "details");
  translated(element(details, "summary"), "details");
  element(details, "p", error.message ?? "", "said");
  element(details, "p", [`HTTP ${status}`, error.type, error.param === "None" ? null : error.param, id && `${t("request")} ${id}`].filter(Boolean).join(" · "));
}
