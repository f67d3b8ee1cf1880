"""Renders a chat request as one text prompt; docs/prompt.md explains each rule and its cost.

    system text      unchanged
    # Tools          the declared tools, one compact JSON line each, and how to call them
    # Answer         the requested JSON
    # Conversation   the turns, each below its [role]; calls as blocks, results with id and name
    [reminder]       one line on what to write

A single user message without system text, tools and answer format is sent unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...errors import PromptTooLong
from ...request.chat_request import ChatRequest, Message
from .tools import tools_section
from .transcript import TranscriptEntry, text_of, transcript
from .trim import trim

_SYSTEM_ROLES = frozenset({"system", "developer"})


def conversation_messages(request: ChatRequest) -> list[Message]:
    """Return the request's messages without its system messages."""
    return [message for message in request.messages if message["role"] not in _SYSTEM_ROLES]


def preamble(request: ChatRequest, answer_format: str = "") -> list[str]:
    """Return the sections before the conversation: system text, tools, and answer format."""
    texts = (text_of(message.get("content")) for message in request.messages if message["role"] in _SYSTEM_ROLES)
    parts = ["\n\n".join(filter(None, texts))]
    if request.tools:
        parts.append(tools_section(request.tools, parallel=request.parameters.parallel_tool_calls))
    if answer_format:
        parts.append(f"# Answer\n{answer_format}")
    return list(filter(None, parts))


def render(request: ChatRequest, *, answer_format: str = "", limit: int | None = None, since: int = 0) -> str:
    """Return the prompt, in at most `limit` characters; raises PromptTooLong.

    `answer_format` is the instruction for a JSON answer. `since` is the number of turns that the
    agent has in a native conversation: they and the preamble are left out.

    >>> render(ChatRequest([{"role": "user", "content": "Hi"}]))
    'Hi'
    """
    turns = conversation_messages(request)
    parts = [] if since else preamble(request, answer_format)
    if not (since or parts) and len(turns) == 1 and turns[0]["role"] == "user":
        return _limited(text_of(turns[0].get("content")), limit)
    reminder = f"[reminder]\n{_reminder(request, turns, has_format=bool(answer_format))}"
    entries: Sequence[TranscriptEntry] = list(transcript(turns))[since:]
    if limit is not None:
        entries = trim(entries, limit - sum(len(part) + 2 for part in parts) - len(reminder) - 20)
    parts.append("# Conversation\n" + "\n\n".join(map(str, entries)))
    return "\n\n".join([*parts, reminder])


def repair_prompt(prompt: str, answer: str, instruction: str) -> str:
    """Return the prompt of a repair round: the first prompt, its answer, and the instruction."""
    return f"{prompt}\n\n[assistant]\n{answer}\n\n[correction]\n{instruction}"


def _limited(prompt: str, limit: int | None) -> str:
    if limit is not None and len(prompt) > limit:
        raise PromptTooLong(
            f"The message has {len(prompt)} characters, {len(prompt) - limit} more than the limit: shorten it, "
            "or raise STACKSPOT_MAX_PROMPT_CHARS."
        )
    return prompt


def _reminder(request: ChatRequest, turns: Iterable[Message], *, has_format: bool) -> str:
    *_, last = [{"role": ""}, *turns]
    if request.tools and request.tool_choice == "required":
        return "Reply to the conversation above now, with at least one tool call block."
    if request.tools and request.tool_choice != "auto":
        return f"Reply to the conversation above now, with a tool call block for {request.tool_choice}."
    if last["role"] == "assistant":
        return "Continue the assistant's last message exactly where it stops; repeat nothing of it."
    answer = "the answer as one JSON object" if has_format else "the answer"
    if request.tools:
        return f"Reply to the conversation above now: with tool call blocks, or with {answer}."
    return f"Reply to the conversation above now, {'with ' + answer if has_format else 'as the assistant'}."
