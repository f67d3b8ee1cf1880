// Vercel AI SDK with a StackSpot agent: a tool loop whole and streamed, and an object of a schema.
//
// With a running `make run` and LITELLM_MASTER_KEY in the environment:
//     npm install --prefix examples/vercel_ai_sdk && node examples/vercel_ai_sdk/agent.mjs
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

const stackspot = createOpenAICompatible({
  name: "stackspot",
  baseURL: (process.env.PROXY_URL ?? "http://127.0.0.1:4000") + "/v1",
  apiKey: process.env.LITELLM_MASTER_KEY,
  headers: { "correlation-id": "conversa-123" },
  // Else streams have no usage, and schemas are not sent.
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = stackspot("stackspot-chat");

const object = (properties) =>
  jsonSchema({ type: "object", properties, required: Object.keys(properties), additionalProperties: false });

const tools = {
  buscar_tempo: tool({
    description: "Busca o tempo de uma cidade.",
    inputSchema: object({ cidade: { type: "string" } }),
    execute: async ({ cidade }) => `Tempo em ${cidade}: 25°C, ensolarado`,
  }),
};

const { text } = await generateText({ model, tools, stopWhen: stepCountIs(5), prompt: "Qual o tempo em São Paulo?" });
console.log(text);

const stream = streamText({ model, tools, stopWhen: stepCountIs(5), prompt: "Qual o tempo em Recife?" });
for await (const part of stream.textStream) process.stdout.write(part);
console.log();

const { output } = await generateText({
  model,
  output: Output.object({ schema: object({ cidade: { type: "string" }, dias: { type: "integer" } }) }),
  prompt: "Quero passar 3 dias em Recife.",
});
console.log(JSON.stringify(output));
