// The texts of the page, in English and Portuguese, and the chosen language.

import { at } from "./dom.js";

const TEXTS = {
  en: {
    title: "Playground", key: "Key of this proxy (kept in this tab only)", model: "Model", language: "Language", fresh: "New conversation",
    empty: "Give the key, choose a model, ask.", question: "Question (Enter sends, Shift+Enter breaks the line)", send: "Send",
    stop: "Stop (Esc)", more: "Parameters and tools", params: "Parameters of the chat completion, as JSON", you: "You", tokens: "tokens",
    request: "request", correlation: "correlation id", time: "time", first: "first token", provider: "provider",
    closed: "The connection was closed; the next question begins a new conversation.", stopped: "Stopped; the next question begins a new conversation.",
    badParams: "The parameters are not a JSON object.", unreachable: "The proxy cannot be reached.", calls: "calls", sources: "sources", copy: "Copy", copied: "Copied", notCopied: "Not copied",
    minute: "Requests this minute", own: "this key", waiting: "waiting", day: "in 24 hours", paused: "paused until", of: "of",
  },
  pt: {
    title: "Playground", key: "Chave deste proxy (guardada só nesta aba)", model: "Modelo", language: "Idioma", fresh: "Nova conversa",
    empty: "Informe a chave, escolha um modelo, pergunte.", question: "Pergunta (Enter envia, Shift+Enter quebra a linha)", send: "Enviar",
    stop: "Parar (Esc)", more: "Parâmetros e ferramentas", params: "Parâmetros do chat completion, em JSON", you: "Você", tokens: "tokens",
    request: "requisição", correlation: "correlation id", time: "tempo", first: "primeiro token", provider: "provedor",
    closed: "A conexão foi fechada; a próxima pergunta começa uma nova conversa.", stopped: "Parado; a próxima pergunta começa uma nova conversa.",
    badParams: "Os parâmetros não são um objeto JSON.", unreachable: "Não foi possível alcançar o proxy.", calls: "chama", sources: "fontes", copy: "Copiar", copied: "Copiado", notCopied: "Não copiado",
    minute: "Requisições neste minuto", own: "esta chave", waiting: "na fila", day: "em 24 horas", paused: "em pausa até", of: "de",
  },
};

export const t = (name) => TEXTS[at("language").value][name];

// Give an element a text that follows the language.
export function translated(node, name) {
  node.dataset.t = name;
  node.textContent = t(name);
  return node;
}

export function translate() {
  document.documentElement.lang = at("language").value === "pt" ? "pt-BR" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  sessionStorage.setItem("language", at("language").value);
}

export function initialLanguage() {
  return sessionStorage.getItem("language") ?? (navigator.language.startsWith("pt") ? "pt" : "en");
}
