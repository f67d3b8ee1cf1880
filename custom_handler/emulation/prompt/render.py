"""Renders a chat request as the one text prompt that an agent takes; docs/prompt.md explains each rule and its cost.

    the caller's system text, first and unchanged
    # Tools          the declared tools, one compact JSON line each, and how to call them
    # Answer         the JSON that is asked for
    # Conversation   the turns, each below its [role]; calls in the block syntax, results with id, name and error mark
    [reminder]       one line on what to do now

A lone user message without system text, tools and answer format goes out as it is.
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
    """Return the request's messages but for its system texts."""
    return [message for message in request.messages if message["role"] not in _SYSTEM_ROLES]


def above(request: ChatRequest, answer_format: str = "") -> list[str]:
    """Return what stands above the conversation: system text, tools, and the answer's format."""
    texts = (text_of(message.get("content")) for message in request.messages if message["role"] in _SYSTEM_ROLES)
    parts = ["\n\n".join(filter(None, texts))]
    if request.tools:
        parts.append(tools_section(request.tools, parallel=request.parameters.parallel_tool_calls))
    if answer_format:
        parts.append(f"# Answer\n{answer_format}")
    return list(filter(None, parts))


def render(request: ChatRequest, *, answer_format: str = "", limit: int | None = None, since: int = 0) -> str:
    """Return the whole prompt, in at most `limit` characters; raises PromptTooLong.

    `answer_format` says what the answer has to look like where it is not free. `since` leaves out so many turns, and what
    stands above them: an agent that keeps the conversation has them.
    """
    turns = conversation_messages(request)
    parts = [] if since else above(request, answer_format)
    if not (since or parts) and len(turns) == 1 and turns[0]["role"] == "user":
        return _checked(text_of(turns[0].get("content")), limit)
    reminder = f"[reminder]\n{_reminder(request, turns, bool(answer_format))}"
    entries: Sequence[TranscriptEntry] = list(transcript(turns))[since:]
    if limit is not None:
        entries = trim(entries, limit - sum(len(part) + 2 for part in parts) - len(reminder) - 20)
    parts.append("# Conversation\n" + "\n\n".join(map(str, entries)))
    return "\n\n".join([*parts, reminder])


def repair_prompt(prompt: str, answer: str, correction: str) -> str:
    """Return the prompt of a repair round: what was asked, what the agent wrote, and what is to be mended."""
    return f"{prompt}\n\n[assistant]\n{answer}\n\n[correction]\n{correction}"


def _checked(prompt: str, limit: int | None) -> str:
    if limit is not None and len(prompt) > limit:
        raise PromptTooLong(
            f"The message has {len(prompt)} characters, {len(prompt) - limit} more than the limit: shorten it, "
            "or raise STACKSPOT_MAX_PROMPT_CHARS."
        )
    return prompt


def _reminder(request: ChatRequest, turns: Iterable[Message], formatted: bool) -> str:
    *_, last = [{"role": ""}, *turns]
    if request.tools and request.tool_choice == "required":
        return "Reply to the conversation above now, with at least one tool call block."
    if request.tools and request.tool_choice != "auto":
        return f"Reply to the conversation above now, with a tool call block for {request.tool_choice}."
    if last["role"] == "assistant":
        return "Continue the assistant's last message exactly where it stops; repeat nothing of it."
    answer = "the answer as one JSON object" if formatted else "the answer"
    if request.tools:
        return f"Reply to the conversation above now: with tool call blocks, or with {answer}."
    return f"Reply to the conversation above now, {'with ' + answer if formatted else 'as the assistant'}."
