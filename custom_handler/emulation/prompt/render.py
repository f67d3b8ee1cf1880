"""Renders a chat request as one text prompt; docs/prompt.md explains each rule and its cost.

    system text      unchanged
    «tools»          the declared tools, one compact JSON line each, and how to call them
    «answer»         the requested JSON
    «conversation»   the turns, each below its label, «user»; calls as blocks, results with name
    «suffix»         what follows the answer (/v1/completions)
    «reminder»       one line on what to write

A single user message without system text, tools and answer format is sent unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from ...errors import PromptTooLong
from ...request.calls import calls_of
from ...request.chat_request import ChatRequest, Message
from ..imitations import imitations, neutralised, one_line
from ..labels import ANSWER, ASSISTANT, COMPLETE, CONVERSATION, CORRECTION, REMINDER, SUFFIX, USER, label
from . import transcript
from .content import text_of
from .tools import tools_section
from .trim import trim
from .turns import system_messages, turns
from .wording import wording

_BEFORE_SUFFIX = (
    "Write only the text that stands between the last message and the suffix: "
    "no label, no code fence, and nothing of either."
)
_RESUME = (
    "The assistant's last message broke off. Continue it exactly where it stops, within its word or line if it stops "
    "there; repeat nothing of it, and write no introduction. If nothing of it is missing, write only: " + COMPLETE
)
_BESIDE_CALLS = "Tool calls are written as above; this is about an answer without one. "


def preamble(request: ChatRequest, answer_format: str = "") -> list[str]:
    """Return the sections before the conversation: system text, tools, and answer format."""
    texts = (text_of(message.get("content")) for message in system_messages(request))
    parts = ["\n\n".join(filter(None, texts))]
    if request.tools:
        parallel = request.parameters.parallel_tool_calls
        parts.append(tools_section(request.tools, parallel=parallel, compact=request.compact_tools))
    if answer_format:
        parts.append(f"{label(ANSWER)}\n{_BESIDE_CALLS if request.tools else ''}{one_line(answer_format)}")
    return list(filter(None, parts))


def render(request: ChatRequest, *, answer_format: str = "", limit: int | None = None, since: int = 0) -> str:
    """Return the prompt, in at most `limit` characters; raises PromptTooLong.

    `answer_format` is the instruction for a JSON answer. `since` is the number of turns that the
    agent has in a native conversation: they and the preamble are left out.

    >>> render(ChatRequest([{"role": "user", "content": "Hi"}]))
    'Hi'
    """
    messages = turns(request)
    parts = [] if since else preamble(request, answer_format)
    suffix = request.parameters.suffix
    if not (since or parts or suffix) and _is_one_message(messages):
        return _limited(text_of(messages[0].get("content")), limit)
    end = [f"{label(SUFFIX)}\n{neutralised(suffix)}"] if suffix else []
    end.append(f"{label(REMINDER)}\n{_reminder(request, messages, has_format=bool(answer_format))}")
    entries: Sequence[transcript.TranscriptEntry] = list(transcript.transcript(messages))[since:]
    if limit is not None:
        entries = trim(entries, limit - sum(len(part) + 2 for part in [*parts, *end]) - 20)
    parts.append(f"{label(CONVERSATION)}\n" + "\n\n".join(map(str, entries)))
    return "\n\n".join([*parts, *end])


def neutralised_spellings(request: ChatRequest, *, has_format: bool) -> Set[str]:
    """Return what a prompt of the request has neutralised; see `imitations.Restorer`."""
    messages = turns(request)
    suffix = request.parameters.suffix
    unchanged = not (request.tools or has_format or suffix or system_messages(request)) and _is_one_message(messages)
    return frozenset() if unchanged else transcript.originals(messages) | imitations(suffix)


def repair_prompt(prompt: str, answer: str, instruction: str) -> str:
    """Return the prompt of a repair round: the first prompt, its answer, and the instruction."""
    shown = neutralised(answer, blocks=False)
    return f"{prompt}\n\n{label(ASSISTANT)}\n{shown}\n\n{label(CORRECTION)}\n{instruction}"


def resume_prompt(prompt: str, said: str) -> str:
    """Return the prompt for the rest of a reply that broke off after the text `said`."""
    return f"{prompt}\n\n{label(ASSISTANT)}\n{neutralised(said, blocks=False)}\n\n{label(REMINDER)}\n{_RESUME}"


def _is_one_message(messages: Sequence[Message]) -> bool:
    """Return whether a user's message, without a name, is the whole conversation."""
    return len(messages) == 1 and transcript.speaker(messages[0]) == USER


def _limited(prompt: str, limit: int | None) -> str:
    if limit is not None and len(prompt) > limit:
        raise PromptTooLong(
            f"The message has {len(prompt)} characters, {len(prompt) - limit} more than the limit: shorten it, "
            "or raise STACKSPOT_MAX_PROMPT_CHARS."
        )
    return prompt


def _reminder(request: ChatRequest, messages: Sequence[Message], *, has_format: bool) -> str:
    if messages and messages[-1]["role"] == "assistant" and not request.must_call:
        return "Continue the assistant's last message exactly where it stops; repeat nothing of it."
    if request.parameters.suffix:
        return _BEFORE_SUFFIX
    reply = "Write the assistant's next reply now, without a label"
    answer = "the answer as the JSON asked for" if has_format else "the answer"
    if not request.tools:
        had_calls = any(next(calls_of(message), None) for message in messages)
        called = " No tool can be called any more." if had_calls else ""
        return f"{reply}{': ' + answer if has_format else ''}.{called}"
    one = "a FUNCTION_CALL_START block"
    if request.must_call:
        count = "at least" if request.parameters.parallel_tool_calls else "exactly"
        chosen = request.tool_choice != "required"
        asked = f"{one} for {request.tool_choice}" if chosen else f"{count} one FUNCTION_CALL_START block"
        return f"{reply}: {asked}. An answer without one is not accepted."
    texts = wording()
    work = texts.each if request.parameters.parallel_tool_calls else texts.one
    return texts.reminder.format(work=work, answer=answer)
