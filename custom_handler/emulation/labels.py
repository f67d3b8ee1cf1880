"""The labels of a prompt's sections and turns: a line such as `«user»`, `«tool result 1/2»`.

Files and messages practically never contain such a line, so what a client sends stays as it is.
"""

from __future__ import annotations

OPEN, CLOSE = "«", "»"

TOOLS, ANSWER, CONVERSATION = "tools", "answer", "conversation"
SYSTEM, USER, ASSISTANT, RESULT = "system", "user", "assistant", "tool result"
NOTE, REMINDER, CORRECTION = "note", "reminder", "correction"
SUFFIX = "suffix"
COMPLETE = "[complete]"
"""What the agent writes where nothing of its reply is missing."""

WORDS = (
    TOOLS,
    ANSWER,
    CONVERSATION,
    SYSTEM,
    USER,
    ASSISTANT,
    RESULT,
    NOTE,
    REMINDER,
    CORRECTION,
    SUFFIX,
)
"""The words with which a label begins; a name, a number or an id can follow."""


def label(text: str) -> str:
    """Return the label of a section or a turn.

    >>> label(USER)
    '«user»'
    """
    return f"{OPEN}{text}{CLOSE}"
