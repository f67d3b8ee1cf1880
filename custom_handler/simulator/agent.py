"""The default agent: no model, but sensible short replies to what a client renders for a real one."""

from __future__ import annotations

import json
import re
from itertools import cycle, islice
from typing import TYPE_CHECKING

from .arguments import fill_calls
from .evidence import topic_of
from .language import WORD, detect_language, fold
from .phrases import PHRASES, Phrases
from .reading import Prompt, Turn, read_conversation
from .tool_choice import Choice, choose_tools

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

REPEAT = re.compile(r"\b(?:repita|repeat|repite|escreva|write|escribe)\s+(\d+)\s+(?:palavras|words|palabras)\b")
COUNT = re.compile(r"\b(?:conte|contar|count|cuenta)\b[^.?!\n]{0,20}?\b(?:ate|to|hasta)\s+(\d+)")
AT_LEAST_ONE = re.compile(r"\bat least one tool call\b")
FAILURE = re.compile(r"\s*(?:error|erro)\b", re.IGNORECASE)
# A long text is read at both its ends, where people put what they want.
MOST_READ = 1000
MOST_WORDS = 20_000
LONGEST_RESULT = 600


def reply_to(prompt: str, earlier: Iterable[tuple[str, str]] = ()) -> str:
    """The agent's answer: tool calls, what their results say, or some sentences in its language.

    `earlier` is what it was told and said before in the same conversation.
    """
    read = read_conversation(earlier, prompt)
    question = _shorten(read.question)
    phrases = PHRASES[detect_language(question)]
    if read.results:
        return _report(read.results, phrases)
    return _speak_at_length(question, phrases) or _call_tools(read, question) or _converse(question, phrases)


def _shorten(question: str) -> str:
    if len(question) <= 2 * MOST_READ:
        return question
    return f"{question[:MOST_READ]}\n{question[-MOST_READ:]}"


def _report(results: tuple[Turn, ...], phrases: Phrases) -> str:
    sentences = [_report_one(result, phrases) for result in results]
    return " ".join([*sentences, phrases.more] if len(sentences) == 1 else sentences)


def _report_one(result: Turn, phrases: Phrases) -> str:
    template = phrases.failed if FAILURE.match(result.text) else phrases.according_to
    told = template.format(tool=result.name or phrases.a_tool, result=_tell(result.text))
    return told if told.endswith((".", "!", "?", "…")) else told + "."


def _tell(text: str) -> str:
    try:
        told = _tell_value(json.loads(text))
    except ValueError:
        told = " ".join(text.split())
    return told if len(told) <= LONGEST_RESULT else told[:LONGEST_RESULT].rstrip() + "…"


def _tell_value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_tell_value(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_tell_value(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _speak_at_length(question: str, phrases: Phrases) -> str:
    folded = fold(question)
    if found := REPEAT.search(folded):
        return " ".join(islice(cycle(phrases.filler.split()), min(int(found[1]), MOST_WORDS)))
    if found := COUNT.search(folded):
        return " ".join(str(number) for number in range(1, min(int(found[1]), MOST_WORDS) + 1))
    return ""


def _call_tools(read: Prompt, question: str) -> str:
    blocks = [
        f"FUNCTION_CALL_START\n{choice.tool.name}\narguments: {_encode(arguments)}\nFUNCTION_CALL_END"
        for choice in _demanded(read, question) or choose_tools(read.tools, question)
        for arguments in fill_calls(choice.tool.parameters, choice.text, question)
    ]
    return "\n".join(blocks)


def _demanded(read: Prompt, question: str) -> list[Choice]:
    """The tool that the reminder names, or the likeliest where it wants any; a reminder that says neither: none."""
    named = [tool for tool in read.tools if re.search(rf"\b{re.escape(tool.name)}\b", read.reminder)]
    if not named and AT_LEAST_ONE.search(read.reminder) and not choose_tools(read.tools, question):
        named = list(read.tools[:1])
    return [Choice(tool, question) for tool in named]


def _encode(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def _converse(question: str, phrases: Phrases) -> str:
    if set(WORD.findall(fold(question))) <= set(phrases.greetings.split()):
        return phrases.welcome
    return phrases.about.format(topic=topic_of(question) or phrases.nothing)
