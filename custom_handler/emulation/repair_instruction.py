"""What the prompt of a repair round asks the agent to write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..events import Unreadable
from .pending_call import PendingToolCall

QUOTED_CHARACTERS = 4_000
LISTED_CHARACTERS = 4_000


def for_unreadable(faults: Iterable[Unreadable], received: Sequence[str]) -> str:
    """Ask for blocks again; `received` are the names of the calls not to repeat."""
    return (
        "This part of your reply cannot be read as a tool call:\n"
        + "\n".join(map(_quoted, faults))
        + "\nWrite it again, as a block with the tool's exact name and valid JSON arguments, and nothing else. "
        'In a JSON string write \\" for a quote, \\\\ for a backslash and \\n for a line end.' + _leave_out(received)
    )


def for_undeclared(names: Iterable[str], tools: Iterable[str], received: Sequence[str]) -> str:
    """Ask for a call of one of the tools."""
    listed = ", ".join(tools)
    if len(listed) > LISTED_CHARACTERS:
        listed = f"{listed[:LISTED_CHARACTERS]} …"
    return (
        f"You called {', '.join(names)}, but there is no such tool. The tools are: {listed}. Write the call again, "
        "as a block with the name and the arguments of one of these, and nothing else." + _leave_out(received)
    )


def for_invalid_arguments(calls: Iterable[PendingToolCall], received: Sequence[str]) -> str:
    """Ask for calls whose arguments match the tool's schema."""
    faults = "\n".join(f"{call.name}: {call.reason}" for call in calls)
    return (
        f"These arguments do not match the JSON Schema of their tool:\n{faults}\nWrite the calls again, as blocks "
        "with valid arguments, and nothing else." + _leave_out(received)
    )


def for_missing(choice: str) -> str:
    """Ask for the call that the request demands: of any tool, or of the one that it names."""
    which = "" if choice == "required" else f" for {choice}"
    return f"Your reply has to hold a tool call block{which}. Write that block now and nothing else."


def for_invalid_json(error: str) -> str:
    """Ask for valid JSON."""
    return f"Your reply is not the JSON that was asked for: {error}. Write the right JSON and nothing else."


def _leave_out(received: Sequence[str]) -> str:
    return f" These calls were received, leave them out: {', '.join(received)}." if received else ""


def _quoted(block: Unreadable) -> str:
    """Return the start of a block and its fault; the prompt contains the whole of it, too."""
    text = block.text.strip()
    shown = text if len(text) <= QUOTED_CHARACTERS else f"{text[:QUOTED_CHARACTERS]} …"
    return f"{shown}\nWhat is wrong with it: {block.reason}." if block.reason else shown
