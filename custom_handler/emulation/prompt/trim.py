"""Makes a conversation fit: the oldest turns go first, then the largest results lose their middle.

What is never touched: the system text, the tools, the last question, and what the agent did last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...errors import PromptTooLong
from .transcript import TranscriptEntry

BETWEEN = 2  # the characters between two turns
SHORTEST_RESULT = 2_000

_LEFT_OUT = "{} older messages are left out here, because the conversation grew too long."
_CUT = "\n[… {} characters left out …]\n"
_NOTE_ROOM = 100


def trim(entries: Sequence[TranscriptEntry], room: int) -> list[TranscriptEntry]:
    """Return turns of at most `room` characters; raises PromptTooLong where what has to stay is longer."""
    kept = list(entries)
    question = max((at for at, entry in enumerate(kept) if entry.role == "user"), default=0)
    if _length(kept) > room:
        kept = _without_oldest(kept, 0, question, room)
    if _length(kept) > room:
        kept = _cut_results(kept, room)
    if kept and _length(kept) > room:
        question = max((at for at, entry in enumerate(kept) if entry.role == "user"), default=-1)
        kept = _without_oldest(kept, question + 1, _groups(kept)[-1], room)
    if _length(kept) > room:
        raise PromptTooLong(
            f"The conversation is too long: its system text, tools and last messages alone exceed the limit by "
            f"{_length(kept) - room} characters. Shorten them, or raise STACKSPOT_MAX_PROMPT_CHARS."
        )
    return kept


def _length(entries: Sequence[TranscriptEntry]) -> int:
    return sum(len(entry.label) + len(entry.body) + 3 + BETWEEN for entry in entries)


def _groups(entries: Sequence[TranscriptEntry]) -> list[int]:
    """Tell where turns begin that stand by themselves: a result belongs to the call before it."""
    return [at for at, entry in enumerate(entries) if at == 0 or entry.role != "result"]


def _without_oldest(entries: list[TranscriptEntry], start: int, end: int, room: int) -> list[TranscriptEntry]:
    """Leave out the oldest turns between start and end, as many as needed, and note it."""
    bounds = [at for at in _groups(entries) if start <= at <= end]
    excess = _length(entries) - room + _NOTE_ROOM
    at = start
    for after in bounds[1:]:
        if excess <= 0:
            break
        excess -= _length(entries[at:after])
        at = after
    if at == start:
        return entries
    note = TranscriptEntry("note", "note", _LEFT_OUT.format(at - start))
    return [*entries[:start], note, *entries[at:]]


def _cut_results(entries: list[TranscriptEntry], room: int) -> list[TranscriptEntry]:
    """Cut the middle out of the largest results, all to one length: the greatest with which the conversation fits."""
    lengths = sorted((len(entry.body) for entry in entries if entry.role == "result"), reverse=True)
    excess = _length(entries) - room
    cap = SHORTEST_RESULT
    for count, length in enumerate(lengths, start=1):
        below = lengths[count] if count < len(lengths) else 0
        overhang = sum(lengths[:count]) - count * max(below, SHORTEST_RESULT)
        if overhang >= excess or length <= SHORTEST_RESULT:
            cap = max(SHORTEST_RESULT, (sum(lengths[:count]) - excess) // count)
            break
    return [_shortened(entry, cap) if entry.role == "result" else entry for entry in entries]


def _shortened(entry: TranscriptEntry, length: int) -> TranscriptEntry:
    if len(entry.body) <= length:
        return entry
    note = _CUT.format(len(entry.body) - length)
    half = max(0, (length - len(note)) // 2)
    return replace(entry, body=entry.body[:half] + note + entry.body[len(entry.body) - half :])
