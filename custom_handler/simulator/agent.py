"""The default agent: replies without a language model.

It reads the one text that an agent receives:

    {system text}
    «tools»
    {"name": …, "parameters": {…}}      one tool per line, among the rules
    «answer»
    … JSON …                            the schema on the last line, if there is one
    «conversation»
    «user»                              or «assistant», «tool result 1/2 name=…», «reminder»
    {text of the message}

A single user message comes without any of it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .schema_values import fill_schema, fold
from .wire import ENCODE

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_COUNT = 20_000
MAX_RESULT_CHARACTERS = 600
# Only the two ends of a long question are read.
READ_CHARACTERS = 1000
TOPIC_CHARACTERS = 80
LABEL = r"«(user|assistant|system|note|reminder|tool result)(?: [^\n]*?name=([^\s»]+))?[^\n]*»[ \t]*"
CONVERSATION = re.compile(rf"^«conversation»[ \t]*\n\s*(?={LABEL}$)", re.MULTILINE)
MESSAGE = re.compile(rf"^{LABEL}$", re.MULTILINE)
# What a coding agent adds to the user's words, and would name most of its tools.
CONTEXT = re.compile(
    r"<(system-reminder|environment_context|environment_details|user_instructions)>[^<]*(?:<(?!/\1>)[^<]*)*</\1>"
)
COUNT = re.compile(r"\b(?:conte|count)\b[^.?!\n]{0,20}?\b(?:ate|to)\s+(\d+)")
GREETING = re.compile(r"\W*((ola|oi|bom dia|boa tarde|boa noite|hello|hi|hey)\b[\w\s,]{0,12}\W*)?")
WELCOME = (
    "Olá! Sou o agente simulado do StackSpot. Pergunte o que quiser: respondo pelo mesmo protocolo do serviço real."
)
ABOUT = (
    "Sobre “{}”: sou o agente simulado do StackSpot e não tenho um modelo de linguagem por trás. "
    "A resposta de verdade vem do seu agente; a forma como ela chega, palavra por palavra, é esta."
)
# The usual first tool, get_weather, is often declared in English and used in Portuguese.
SYNONYMS = {"clima": "weath", "tempo": "weath"}


class Message(NamedTuple):
    """One message of the conversation; `tool` is the name of the tool that returned a result."""

    kind: str
    tool: str
    text: str


class Prompt(NamedTuple):
    """The parts of a prompt; a tool is a JSON object with a name."""

    tools: list[dict[str, Any]]
    schema: dict[str, Any] | None
    messages: list[Message]


def reply_to(prompt: str, earlier: Iterable[tuple[str, str]] = ()) -> str:
    """Return the reply: tool calls, JSON, a report of tool results, or some sentences.

    `earlier` has the prompts and replies of the conversation, whose tools and schema stay valid.

    >>> reply_to("Count to 3")
    '1 2 3'
    """
    tools, schema, messages = read_prompt(prompt)
    for earlier_prompt, reply in reversed(list(earlier)):
        before = read_prompt(earlier_prompt)
        tools, schema = tools or before.tools, schema or before.schema
        messages = [*before.messages, Message("assistant", "", reply), *messages]
    asked_at = max((index for index, message in enumerate(messages) if message.kind == "user"), default=0)
    question = messages[asked_at].text if messages and messages[asked_at].kind == "user" else ""
    question = CONTEXT.sub("", question).strip()
    if len(question) > 2 * READ_CHARACTERS:
        question = f"{question[:READ_CHARACTERS]}\n{question[-READ_CHARACTERS:]}"
    results = [message for message in messages[asked_at:] if message.kind == "tool result"]
    reminder = messages[-1].text if messages and messages[-1].kind == "reminder" else ""
    if not results and (called := _choose_tools(tools, question, reminder)):
        return "\n".join(_call(tool, question) for tool in called)
    if schema is not None:
        return ENCODE(fill_schema(schema, question))
    return " ".join(map(_report, results)) or _converse(question)


def read_prompt(text: str) -> Prompt:
    """Return the parts of `text`; without a conversation it is one user message."""
    start = CONVERSATION.search(text)
    if start is None:
        return Prompt([], None, [Message("user", "", text.strip())])
    above, _, answer = text[: start.start()].partition("«answer»\n")
    lines = above.partition("«tools»")[2].split("\n")
    tools = [tool for line in lines if isinstance((tool := _read_object(line)).get("name"), str)]
    schema = _read_object(answer.strip().rpartition("\n")[2]) or {"type": "object"} if "JSON" in answer else None
    _, *parts = MESSAGE.split(text[start.end() :])
    sections = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return Prompt(tools, schema, [Message(kind, tool or "", body.strip()) for kind, tool, body in sections])


def _read_object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _choose_tools(tools: list[dict[str, Any]], question: str, reminder: str) -> list[dict[str, Any]]:
    """Return the tools that the reminder demands, else those named by words of the question."""
    if named := [tool for tool in tools if f"block for {tool['name']}. " in reminder]:
        return named
    words = _words(question)
    fitting = [tool for tool in tools if words & _words(tool["name"]) or tool["name"] in question]
    return fitting or tools[: "at least one FUNCTION_CALL_START block" in reminder]


def _words(text: str) -> set[str]:
    """Return the first five letters of each word with four or more, without accents."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text)
    return {SYNONYMS.get(word, word) for word in re.findall(r"\b[a-z]{4,5}", fold(apart))}


def _call(tool: dict[str, Any], question: str) -> str:
    parameters = tool.get("parameters")
    schema = parameters if isinstance(parameters, dict) else {}
    arguments = ENCODE(fill_schema({**schema, "type": "object"}, question))
    return f"FUNCTION_CALL_START\n{tool['name']}\narguments: {arguments}\nFUNCTION_CALL_END"


def _report(result: Message) -> str:
    text = " ".join(result.text.split())
    if len(text) > MAX_RESULT_CHARACTERS:
        text = f"{text[:MAX_RESULT_CHARACTERS]}…"
    return f"Segundo {result.tool}: {text}" + ("" if text.endswith((".", "!", "?", "…")) else ".")


def _converse(question: str) -> str:
    folded, topic = fold(question), " ".join(question.split()).strip("¿¡?!. ")
    if found := COUNT.search(folded):
        return " ".join(map(str, range(1, min(int(found[1]), MAX_COUNT) + 1)))
    if GREETING.fullmatch(folded):
        return WELCOME
    return ABOUT.format(topic if len(topic) <= TOPIC_CHARACTERS else f"{topic[:TOPIC_CHARACTERS]}…")
