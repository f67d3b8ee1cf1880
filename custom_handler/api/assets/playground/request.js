// The request of a chat completion, made from a conversation.

export class BadOption extends Error {}  // its message is the name of a text

function parsed(text, isRight, problem) {
  if (!text.trim()) return undefined;
  try {
    const value = JSON.parse(text);
    if (isRight(value)) return value;
  } catch { /* BadOption, below */ }
  throw new BadOption(problem);
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

// Raises BadOption.
export function parameters(options) {
  const given = { ...parsed(options.params, isObject, "badParams") };
  for (const name of ["temperature", "top_p", "max_tokens"]) if (options[name] !== "") given[name] = Number(options[name]);
  const tools = parsed(options.tools, Array.isArray, "badTools");
  if (tools) given.tools = tools;
  if (options.json) given.response_format = { type: "json_object" };
  return given;
}

function part({ name, type, data }) {
  if (data === null) return { type: "text", text: `[${name}]` };  // its content was too much for the tab's storage
  return type.startsWith("image/") ? { type: "image_url", image_url: { url: data } } : { type: "file", file: { filename: name, file_data: data } };
}

function wire({ role, content, tool_calls: calls, tool_call_id, attachments }) {
  if (role === "tool") return { role, tool_call_id, content };
  if (role === "assistant") return calls?.length ? { role, content: content || null, tool_calls: calls } : { role, content };
  return { role, content: attachments?.length ? [{ type: "text", text: content }, ...attachments.map(part)] : content };
}

// The body of a request for the next message. Raises BadOption.
export function requestBody({ options, messages }, model) {
  const system = options.system.trim() ? [{ role: "system", content: options.system }] : [];
  return { model, messages: [...system, ...messages.map(wire)], ...parameters(options) };
}
