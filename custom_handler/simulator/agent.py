"""The default agent: no model, but short replies that fit the question, the declared tools and the JSON schema."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from .arguments import fill_calls, fill_schema
from .reading import fold, read_conversation, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .reading import Prompt, Tool, Turn

MAX_WORDS = 20_000
MAX_RESULT_CHARACTERS = 600
READ_CHARACTERS = 1000  # at each end of a long question: people put what they want there
TOPIC_CHARACTERS = 80
REPEAT = re.compile(r"\b(?:repita|repeat)\s+(\d+)\s+(?:palavras|words)\b")
COUNT = re.compile(r"\b(?:conte|count)\b[^.?!\n]{0,20}?\b(?:ate|to)\s+(\d+)")
FAILURE = re.compile(r"\s*(?:error|erro)\b", re.IGNORECASE)
FILLER = "então o agente simulado continua a falar com calma até que a transmissão termine"


@dataclass(frozen=True, slots=True)
class Phrases:
    """What the agent says in one language, and the small words by which a question in it is recognised."""

    words: str
    greetings: str
    welcome: str
    about: str
    result: str
    failure: str


PORTUGUESE = Phrases(
    "a o os as um uma que qual quais e em no na do da de para por com nao como quanto meu sobre",
    "ola oi bom boa dia tarde noite tudo bem obrigado obrigada",
    "Olá! Sou o agente simulado do StackSpot. Pergunte o que quiser: respondo pelo mesmo protocolo do serviço real.",
    "Sobre “{topic}”: sou o agente simulado do StackSpot e não tenho um modelo de linguagem por trás. "
    "A resposta de verdade vem do seu agente; a forma como ela chega, palavra por palavra, é esta.",
    "Segundo {tool}: {result}",
    "A ferramenta {tool} não conseguiu responder: {result}",
)
ENGLISH = Phrases(
    "the what which is are in on at of to for and with how much many you my this explain please",
    "hello hi hey good morning afternoon evening there how are you thanks thank",
    "Hello! I am the simulated StackSpot agent. Ask me anything: I answer over the same protocol as the real service.",
    "About “{topic}”: I am the simulated StackSpot agent, with no language model behind me. "
    "The real answer comes from your own agent; the way it arrives, word by word, is this one.",
    "According to {tool}: {result}",
    "The tool {tool} could not answer: {result}",
)
# The usual first tool is declared in English and asked about in any language.
SYNONYMS = dict.fromkeys(("clima", "tempo", "tiemp", "forec", "previ", "tempe"), "weath")
# Words of tool names and descriptions that say nothing about what a tool is for.
GENERIC = words_of("data dados info list lista name nome tool with from given para este esta what which qual")


def reply_to(prompt: str, earlier: Iterable[tuple[str, str]] = ()) -> str:
    """Return the agent's reply: JSON, tool calls, a report of tool results, or some sentences.

    `earlier` has the prompts and replies of the same conversation.
    """
    read = read_conversation(earlier, prompt)
    question = read.question
    if len(question) > 2 * READ_CHARACTERS:
        question = f"{question[:READ_CHARACTERS]}\n{question[-READ_CHARACTERS:]}"
    phrases = _phrases_for(question)
    if not read.results and (calls := _call_tools(read, question)):
        return calls
    if read.answer_schema is not None:
        return _encode(fill_schema(read.answer_schema, question))
    if read.results:
        return " ".join(_report(result, phrases) for result in read.results)
    return _speak_at_length(question) or _converse(question, phrases)


def _phrases_for(question: str) -> Phrases:
    words = set(re.findall(r"\w+", fold(question)))
    return max((PORTUGUESE, ENGLISH), key=lambda known: len(words & set(f"{known.words} {known.greetings}".split())))


def _report(result: Turn, phrases: Phrases) -> str:
    template = phrases.failure if FAILURE.match(result.text) else phrases.result
    text = " ".join(result.text.split())
    if len(text) > MAX_RESULT_CHARACTERS:
        text = text[:MAX_RESULT_CHARACTERS] + "…"
    sentence = template.format(tool=result.name, result=text)
    return sentence if sentence.endswith((".", "!", "?", "…")) else f"{sentence}."


def _speak_at_length(question: str) -> str:
    folded = fold(question)
    if found := REPEAT.search(folded):
        return " ".join(islice(cycle(FILLER.split()), min(int(found[1]), MAX_WORDS)))
    if found := COUNT.search(folded):
        return " ".join(map(str, range(1, min(int(found[1]), MAX_WORDS) + 1)))
    return ""


def _call_tools(read: Prompt, question: str) -> str:
    return "\n".join(
        f"FUNCTION_CALL_START\n{tool.name}\narguments: {_encode(arguments)}\nFUNCTION_CALL_END"
        for tool in _demanded(read) or _fitting(read.tools, question)
        for arguments in fill_calls(tool.parameters, question)
    )


def _demanded(read: Prompt) -> Sequence[Tool]:
    """Return the tool that the reminder names, or the likeliest one where it demands any call."""
    named = [tool for tool in read.tools if re.search(rf"\b{re.escape(tool.name)}\b", read.reminder)]
    if named or "at least one tool call" not in read.reminder:
        return named
    return _fitting(read.tools, read.question) or read.tools[:1]


def _fitting(tools: Sequence[Tool], question: str) -> Sequence[Tool]:
    """Return the tools whose full name, a word of whose name or two words of whose description are in the question."""
    asked = _terms(question)
    return [
        tool
        for tool in tools
        if (tool.name and tool.name in question)
        or asked & _terms(re.sub(r"(?<=[a-z])(?=[A-Z])|_|-", " ", tool.name))
        or len(asked & _terms(tool.description)) > 1
    ]


def _terms(text: str) -> set[str]:
    return {SYNONYMS.get(word, word) for word in words_of(text)} - GENERIC


def _converse(question: str, phrases: Phrases) -> str:
    topic = " ".join(question.split()).strip("¿¡?!. ")
    if set(re.findall(r"\w+", fold(topic))) <= set(phrases.greetings.split()):
        return phrases.welcome
    return phrases.about.format(topic=topic if len(topic) <= TOPIC_CHARACTERS else f"{topic[:TOPIC_CHARACTERS]}…")


def _encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
