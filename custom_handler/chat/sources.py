"""The footer that names the sources of an answer, and its removal from the history.

The answer.

---
Sources: Payments handbook, runbooks
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..events import Source, Sources, Text
from ..instrumentation import Hook, KnowledgeSearched
from ..request.chat_request import Message
from ..stackspot.knowledge import ANNOTATIONS, FOOTER, Knowledge
from ..stackspot.sources import source_ids

TITLES = ("Sources", "Fontes")  # of footers that were written before `sources_title` changed


def source_events(
    knowledge: Knowledge, sources: tuple[Source, ...], hook: Hook, *, shown: bool
) -> list[Text | Sources]:
    """Report the sources of an answer to `hook`; return the events that show them behind its text.

    `shown` is whether that is a complete text: calls, JSON and what was cut off stay as they are.
    """
    if knowledge.is_used:
        hook(KnowledgeSearched(source_ids(sources)))
    if not sources or not shown:
        return []
    if knowledge.sources == FOOTER:
        names = dict.fromkeys(source.label for source in sources)
        return [Text(f"\n\n---\n{knowledge.title}: {', '.join(names)}")]
    return [Sources(knowledge.located(sources))] if knowledge.sources == ANNOTATIONS else []


def without_footers(messages: Sequence[Message], knowledge: Knowledge) -> Sequence[Message]:
    """Return a conversation whose answers have no footer: an agent would imitate it.

    >>> history = [{"role": "assistant", "content": "Yes.\\n\\n---\\nSources: Handbook"}]
    >>> without_footers(history, Knowledge(sources="footer"))
    [{'role': 'assistant', 'content': 'Yes.'}]
    """
    if knowledge.sources != FOOTER:
        return messages
    titles = "|".join(map(re.escape, (knowledge.title, *TITLES)))
    footer = re.compile(rf"\n\n---\n(?:{titles}): [^\n]*\Z")
    return [
        {**message, "content": _without(message.get("content"), footer)} if message["role"] == "assistant" else message
        for message in messages
    ]


def _without(content: Any, footer: re.Pattern[str]) -> Any:
    if isinstance(content, str):
        return _cut(content, footer)
    if not isinstance(content, Sequence) or not content:
        return content
    *parts, last = content
    if isinstance(last, Mapping) and isinstance(text := last.get("text"), str):
        last = {**last, "text": _cut(text, footer)}
    return [*parts, last]


def _cut(text: str, footer: re.Pattern[str]) -> str:
    found = footer.search(text.rstrip())
    return text if found is None else text[: found.start()]
