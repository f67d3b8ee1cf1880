// A streamed chat completion of this proxy.

import { randomId } from "./dom.js";
import { authorization } from "./key.js";

// An error of the proxy, or of the way to it (status 0). `error` is OpenAI's error object.
export class Failure extends Error {
  constructor(status, error, headers = new Headers()) {
    super(error?.message ?? "");
    Object.assign(this, { status, error: error ?? {}, headers });
  }
}

// Ask for a completion. `heard` gets the answer so far whenever it grows, with `piece`, the new text. Returns the answer:
// {content, tool_calls, annotations, usage, finish, headers, correlation}. Raises Failure, and AbortError after `signal`.
export async function complete(body, signal, heard) {
  const answer = { content: "", tool_calls: [], annotations: [], usage: null, finish: null, correlation: randomId() };
  const response = await reached(fetch("v1/chat/completions", {
    method: "POST",
    headers: { ...authorization(), "content-type": "application/json", "correlation-id": answer.correlation },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  }));
  answer.headers = response.headers;
  if (!response.ok) throw new Failure(response.status, await errorObject(response), response.headers);
  for await (const chunk of chunks(response.body)) {
    if (chunk.error) throw new Failure(Number(chunk.error.code) || 500, chunk.error, response.headers);
    heard(answer, add(answer, chunk));
  }
  if (answer.finish === null) throw new Failure(0, null, response.headers);
  return answer;
}

// Add a chunk to the answer, and return its text.
function add(answer, { choices: [choice] = [], usage }) {
  answer.usage = usage ?? answer.usage;
  answer.finish = choice?.finish_reason ?? answer.finish;
  const { content = "", tool_calls: calls, annotations } = choice?.delta ?? {};
  answer.content += content ?? "";
  answer.annotations.push(...(annotations ?? []));
  for (const { index, id, function: called } of calls ?? []) {
    const call = (answer.tool_calls[index] ??= { id, type: "function", function: { name: "", arguments: "" } });
    call.function.name += called?.name ?? "";
    call.function.arguments += called?.arguments ?? "";
  }
  return content ?? "";
}

async function* chunks(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reached(reader.read());
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {  // lines of comments keep the connection alive
        if (!line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        if (data === "[DONE]") return;
        yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// What fails to arrive is a Failure without a status; what was stopped stays an AbortError.
async function reached(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, null);
  }
}

export async function errorObject(response) {
  try {
    return (await response.json()).error;
  } catch {
    return null;  // a page of a gateway
  }
}
